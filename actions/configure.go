package actions

import "slices"

// configure takes over a new specification, at once where the steps in place
// are the same things, else after those that differ have come down.
func (l *Ladder) configure(s LadderSpec) {
	l.next = &s
	l.adopt()
}

// keep is how many steps from the bottom are the same things in both specifications.
func (l *Ladder) keep() int {
	if l.next == nil {
		return len(l.steps)
	}
	n := 0
	for n < len(l.steps) && n < len(l.next.Steps) {
		a, b := StepSpec{Name: l.steps[n].spec.Name, Agent: l.steps[n].spec.Agent}, StepSpec{Name: l.next.Steps[n].Name, Agent: l.next.Steps[n].Agent}
		if !a.Equal(&b) {
			break
		}
		n++
	}
	return n
}

// adopt takes over the waiting specification if nothing stands in its way.
func (l *Ladder) adopt() {
	if l.next == nil {
		return
	}
	n := l.keep()
	for i := n; i < len(l.steps); i++ {
		if r := &l.steps[i]; r.job != 0 || r.state != Down || !r.looked {
			return
		}
	}
	if l.claim.job != 0 {
		return
	}
	limited := l.limit < len(l.steps)
	if l.spec.Safety.Mode != l.next.Safety.Mode && !l.holds() {
		l.claim.granted = false // what one mode lets pass, another may not
	}
	l.spec, l.next = *l.next, nil
	l.steps = slices.Clone(l.steps[:n])
	for i := range l.spec.Steps {
		if i < n {
			r := &l.steps[i]
			r.spec, r.due = l.spec.Steps[i], min(r.due, l.now) // it may have got another pace
			continue
		}
		l.steps = append(l.steps, newRung(l.spec.Steps[i]))
	}
	if !limited {
		l.limit = len(l.steps)
	}
}
