// Package journal writes down what the loop tells: log lines for people and the
// history of transitions, without ever making the loop wait.
//
// A Journal has two bounded queues and, while Run runs, one goroutine for each:
// a log that nobody reads must not cost the history, and a full disk must not
// cost the log. What does not fit is dropped, counted, and said.
//
// The history is DIR/history.jsonl: one daemon.Transition per line, as JSON,
// oldest first. A transition that got a follow-up is written again under the
// same seq; the last line of a seq is the valid one. The file is rewritten with
// what is worth keeping when it has become four times as long as that.
package journal
