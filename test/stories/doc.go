// Package stories plays the files of examples/ as they stand, on hosts with names,
// file systems and services of their own, and does to them what happens to hosts:
// docs/stories has a page for each. What is not the real thing is called a stand-in,
// here and there.
package stories
