// Package law has no code: its tests are the rules of the architecture.
package law
