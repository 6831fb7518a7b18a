package agent

import (
	"context"

	"github.com/backbeat-ha/backbeat/actions"
)

func (h *Hands) fence(ctx context.Context, job *actions.Job, tell say) actions.Done {
	return actions.Done{Hopeless: true, Detail: "the agent is not written yet"}
}

func (h *Hands) reboot(ctx context.Context, job *actions.Job) actions.Done {
	return actions.Done{Hopeless: true, Detail: "the agent is not written yet"}
}
