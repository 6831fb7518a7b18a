package actions

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const testRouter RouterID = 7

func spec(name string, on Occasion) HookSpec {
	return HookSpec{Name: name, On: on, Command: []string{"/bin/" + name}, Timeout: time.Second}
}

func TestOccasionWords(t *testing.T) {
	for _, o := range []Occasion{OnActive, OnBackup, OnInitialize, OnFault} {
		if back, ok := ParseOccasion(o.String()); !ok || back != o {
			t.Errorf("%v: parsed back as %v, %v", o, back, ok)
		}
	}
	for word, o := range map[string]Occasion{"active": OnActive, "backup": OnBackup, "initialize": OnInitialize,
		"fault": OnFault, "active+fault": OnActive | OnFault, "none": 0} {
		if o.String() != word {
			t.Errorf("String of %d is %q, want %q", o, o.String(), word)
		}
	}
	for _, word := range []string{"", "Active", "master", "none", "active+fault"} {
		if o, ok := ParseOccasion(word); ok {
			t.Errorf("ParseOccasion(%q) = %v", word, o)
		}
	}
}

// drain runs everything that waits and returns "hook@term" in order.
func drain(t *testing.T, m *Mailbox) (ran []string) {
	t.Helper()
	for range 10 * MailboxRoom {
		j, ok := m.Next()
		if !ok {
			return ran
		}
		d, ok := m.Done(HookDone{Router: j.Router, Job: j.Job})
		if !ok {
			t.Fatalf("answer to job %d is stale", j.Job)
		}
		ran = append(ran, fmt.Sprintf("%s@%d", d.Hook, d.Term))
	}
	t.Fatal("the mailbox never becomes empty")
	return nil
}

func TestMailboxOrder(t *testing.T) {
	m := NewMailbox(testRouter, []HookSpec{spec("z", OnActive|OnBackup), spec("a", OnActive), spec("m", OnFault)})
	if m.Wants(OnInitialize) || !m.Wants(OnFault) {
		t.Error("Wants is wrong")
	}
	env, stdin := []string{"A=1"}, []byte("{}")
	m.Post(1, OnActive, env, stdin)
	m.Post(2, OnInitialize, env, stdin)
	m.Post(3, OnBackup, env, stdin)
	m.Post(4, OnFault, env, stdin)
	j, ok := m.Next()
	if !ok || j.Router != testRouter || j.Spec.Name != "z" || j.Env[0] != "A=1" || string(j.Stdin) != "{}" {
		t.Fatalf("first job %+v, %v", j, ok)
	}
	if _, ok := m.Next(); ok {
		t.Error("two jobs at once")
	}
	if d, ok := m.Done(HookDone{Router: testRouter, Job: j.Job}); !ok || d != (Delivered{"z", 1}) {
		t.Errorf("Done: %+v, %v", d, ok)
	}
	if got, want := drain(t, &m), []string{"a@1", "z@3", "m@4"}; !slices.Equal(got, want) {
		t.Errorf("ran %v, want %v", got, want)
	}
	if !m.Idle() {
		t.Error("not idle at the end")
	}
}

func TestMailboxRecordsResults(t *testing.T) {
	m := NewMailbox(testRouter, []HookSpec{spec("a", OnActive), spec("b", OnActive)})
	m.Post(1, OnActive, nil, nil)
	m.Post(2, OnActive, nil, nil)
	j, _ := m.Next()
	if v := m.View(); !v[0].Running || v[0].Queued != 1 || v[0].Finished || v[1].Running || v[1].Queued != 2 {
		t.Errorf("while running: %+v", v)
	}
	m.Done(HookDone{Router: testRouter, Job: j.Job, Exit: 3, Err: "exit status 3", Took: time.Second, Output: "no"})
	want := HookView{Name: "a", Queued: 1, Runs: 1, Failed: 1, Finished: true, Exit: 3, Err: "exit status 3",
		Took: time.Second, Output: "no"}
	if v := m.View(); v[0] != want {
		t.Errorf("after a failure:\n got %+v\nwant %+v", v[0], want)
	}
	drain(t, &m)
	want = HookView{Name: "a", Runs: 2, Failed: 1, Finished: true}
	if v := m.View(); v[0] != want {
		t.Errorf("after a success:\n got %+v\nwant %+v", v[0], want)
	}
}

func TestMailboxStaleAnswers(t *testing.T) {
	m := NewMailbox(testRouter, []HookSpec{spec("a", OnActive)})
	if _, ok := m.Done(HookDone{Router: testRouter}); ok {
		t.Error("an idle mailbox takes job 0")
	}
	m.Post(1, OnActive, nil, nil)
	j, _ := m.Next()
	for _, d := range []HookDone{{Router: testRouter, Job: j.Job + 1}, {Router: testRouter + 1, Job: j.Job}, {Router: testRouter}} {
		if _, ok := m.Done(d); ok {
			t.Errorf("%+v accepted", d)
		}
	}
	if v := m.View(); !v[0].Running || v[0].Runs != 0 {
		t.Errorf("stale answers changed something: %+v", v)
	}
	if _, ok := m.Done(HookDone{Router: testRouter, Job: j.Job}); !ok {
		t.Error("the right answer is refused")
	}
	if _, ok := m.Done(HookDone{Router: testRouter, Job: j.Job}); ok {
		t.Error("the same answer twice")
	}
}

func TestMailboxBound(t *testing.T) {
	m := NewMailbox(testRouter, []HookSpec{spec("a", OnActive), spec("b", OnActive|OnBackup)})
	m.Post(1, OnActive, nil, nil)
	j, _ := m.Next() // a@1 runs, b@1 waits
	skipped := 0
	for term := uint64(2); term <= 100; term++ {
		skipped += m.Post(term, OnActive, nil, nil)
	}
	v := m.View()
	if n := v[0].Queued + v[1].Queued; n != MailboxRoom {
		t.Errorf("%d wait, want %d", n, MailboxRoom)
	}
	// b@1, then both hooks of terms 2 to 68: 32 terms of two remain.
	if want := 1 + 2*67; skipped != want || v[0].Skipped+v[1].Skipped != uint64(want) {
		t.Errorf("skipped %d, the view says %d and %d, want %d", skipped, v[0].Skipped, v[1].Skipped, want)
	}
	m.Done(HookDone{Router: testRouter, Job: j.Job})
	ran := drain(t, &m)
	if ran[0] != "a@69" || ran[len(ran)-1] != "b@100" {
		t.Errorf("ran %v", ran)
	}
}

// More hooks than room: the newest transition is delivered whole.
func TestMailboxManyHooks(t *testing.T) {
	var specs []HookSpec
	for i := range 2 * MailboxRoom {
		specs = append(specs, spec(fmt.Sprintf("h%03d", i), OnActive))
	}
	m := NewMailbox(testRouter, specs)
	m.Post(1, OnActive, nil, nil)
	if n := m.Post(2, OnActive, nil, nil); n != len(specs) {
		t.Errorf("skipped %d, want %d", n, len(specs))
	}
	ran := drain(t, &m)
	if len(ran) != len(specs) || slices.ContainsFunc(ran, func(s string) bool { return !strings.HasSuffix(s, "@2") }) {
		t.Errorf("ran %v", ran)
	}
}

// A transition that nobody wants does not push out what somebody waits for.
func TestMailboxUnwantedPushesNothing(t *testing.T) {
	m := NewMailbox(testRouter, []HookSpec{spec("a", OnFault)})
	for term := range uint64(MailboxRoom) {
		m.Post(term+1, OnFault, nil, nil)
	}
	if n := m.Post(99, OnActive, nil, nil); n != 0 {
		t.Errorf("%d skipped for nothing", n)
	}
}

func TestMailboxConfigure(t *testing.T) {
	m := NewMailbox(testRouter, []HookSpec{spec("same", OnActive), spec("changed", OnActive|OnBackup), spec("gone", OnActive)})
	m.Post(1, OnActive, nil, nil)
	drain(t, &m)
	m.Post(2, OnActive, nil, nil)
	m.Post(3, OnBackup, nil, nil)
	j, _ := m.Next() // same@2 runs; changed@2, gone@2, changed@3 wait
	changed := spec("changed", OnBackup)
	changed.Command = []string{"/bin/new"}
	m.Configure([]HookSpec{spec("new", OnActive), changed, spec("same", OnActive)})
	v := m.View()
	if v[0].Name != "new" || v[0].Runs+uint64(v[0].Queued) != 0 {
		t.Errorf("new hook: %+v", v[0])
	}
	if v[1].Runs != 0 || v[1].Finished || v[1].Queued != 1 {
		t.Errorf("changed hook: %+v", v[1])
	}
	if v[2].Runs != 1 || !v[2].Running || !v[2].Finished {
		t.Errorf("unchanged hook: %+v", v[2])
	}
	if d, ok := m.Done(HookDone{Router: testRouter, Job: j.Job}); !ok || d.Hook != "same" {
		t.Errorf("Done %+v, %v", d, ok)
	}
	j, _ = m.Next()
	if j.Spec.Command[0] != "/bin/new" {
		t.Errorf("a changed hook ran %v", j.Spec.Command)
	}
	// Removed while it runs: the slot is freed, nothing is recorded.
	m.Configure([]HookSpec{spec("changed", OnBackup)})
	if v := m.View(); v[0].Running {
		t.Errorf("another command of the same name shows as running: %+v", v)
	}
	if _, ok := m.Done(HookDone{Router: testRouter, Job: j.Job, Err: "x"}); !ok || !m.Idle() {
		t.Error("the slot of a removed hook stays occupied")
	}
	if v := m.View(); v[0].Runs != 0 || v[0].Failed != 0 {
		t.Errorf("a removed hook's result was recorded: %+v", v)
	}
}

func TestMailboxWithoutHooksCostsNothing(t *testing.T) {
	var m Mailbox
	if n := testing.AllocsPerRun(100, func() {
		m.Post(1, OnActive, nil, nil)
		if _, ok := m.Next(); ok || !m.Idle() || m.View() != nil {
			t.Fatal("the zero mailbox has something")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Under any history: at most one run at a time; the runs of each hook, and the
// runs altogether, are in the order of the transitions; every run is delivered,
// waiting or counted as skipped; and the last transition is always delivered to
// every hook that wanted it.
func TestMailboxProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.Custom(func(t *rapid.T) Occasion { return Occasion(rapid.IntRange(1, 15).Draw(t, "on")) })
		var specs []HookSpec
		for i, on := range rapid.SliceOfN(set, 1, 5).Draw(t, "hooks") {
			specs = append(specs, spec(string(rune('a'+i)), on))
		}
		m := NewMailbox(testRouter, specs)
		var (
			term, job  uint64
			posted     int
			skipped    int
			now        HookJob
			busy       bool
			lastWanted []string
			ran        []Delivered
		)
		post := func(o Occasion) {
			term++
			var names []string
			for _, s := range specs {
				if s.On&o != 0 {
					names = append(names, s.Name)
				}
			}
			if len(names) > 0 {
				lastWanted = names
				for i := range lastWanted {
					lastWanted[i] = fmt.Sprintf("%s@%d", names[i], term)
				}
			}
			posted += len(names)
			skipped += m.Post(term, o, nil, nil)
		}
		next := func() {
			j, ok := m.Next()
			if ok && busy {
				t.Fatalf("job %d begins while job %d runs", j.Job, now.Job)
			}
			if ok && j.Job <= job {
				t.Fatalf("job %d follows job %d", j.Job, job)
			}
			if ok {
				now, busy, job = j, true, j.Job
			}
		}
		done := func() {
			d, ok := m.Done(HookDone{Router: testRouter, Job: now.Job})
			if ok != busy {
				t.Fatalf("answer to job %d: accepted %v, running %v", now.Job, ok, busy)
			}
			if ok {
				ran, busy = append(ran, d), false
			}
		}
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, 9), 0, 400).Draw(t, "steps") {
			switch {
			case step < 4:
				post(1 << step)
			case step < 7:
				post(OnActive)
			case step < 9:
				next()
			default:
				done()
			}
		}
		for !m.Idle() {
			next()
			done()
		}
		if len(ran)+skipped != posted {
			t.Fatalf("%d posted, %d ran, %d skipped", posted, len(ran), skipped)
		}
		rank := func(d Delivered) string { return fmt.Sprintf("%08d %s", d.Term, d.Hook) }
		if !slices.IsSortedFunc(ran, func(a, b Delivered) int { return strings.Compare(rank(a), rank(b)) }) {
			t.Fatalf("out of order: %v", ran)
		}
		var tail []string
		for _, d := range ran[max(0, len(ran)-len(lastWanted)):] {
			tail = append(tail, fmt.Sprintf("%s@%d", d.Hook, d.Term))
		}
		if !slices.Equal(tail, lastWanted) {
			t.Fatalf("the last transition was %v, the last runs %v", lastWanted, tail)
		}
	})
}
