// Package announce: TEMPORARY STUB by the lead so that the binary builds.
// Owner of actions/announce: delete this file when your code is here.
package announce

import (
	"context"

	"github.com/backbeat-ha/backbeat/actions"
)

type Announcer struct{ post func(any) }

func New(post func(any)) *Announcer               { return &Announcer{post} }
func (a *Announcer) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (a *Announcer) Announce(x actions.Announcement) {
	go a.post(actions.Announced{Router: x.Router, Term: x.Term})
}
func (a *Announcer) Cancel(actions.RouterID) {}
