// Package daemon (placeholder).
package daemon
