// Package probe finds out: it carries out the runs that package checks asks for.
package probe
