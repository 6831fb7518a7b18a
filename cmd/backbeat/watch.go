package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

const (
	// watchPause is between two looks.
	watchPause = 500 * time.Millisecond
	// watchPatience bounds one look: what is older is said to be old.
	watchPatience = 3 * time.Second
)

func (t *tool) watchVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "watch [NAME]",
		Short: "Show the status and keep it fresh",
		Long: `Show the status, twice a second. Arrow keys choose a virtual router or service
group, Enter shows everything about it and goes back, q ends. Where the output is no
terminal, a status is printed whenever it has changed, once a second at most.`,
		Args: atMostOne,
	}
	path := controlFlag(c)
	c.ValidArgsFunction = completeNames(path, routersAndGroups, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		w := &watcher{tool: t, client: control.Dial(*path), width: t.width}
		if len(args) == 1 {
			w.chosen, w.open = args[0], true
		}
		ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if t.width == 0 || !t.asks {
			return failed(w.plain(ctx))
		}
		_, err := tea.NewProgram(w, tea.WithContext(ctx), tea.WithInput(t.in), tea.WithOutput(t.out)).Run()
		if ctx.Err() != nil {
			err = nil
		}
		return failed(err)
	}
	return c
}

// watcher is the live view: what was heard last, and what is chosen.
type watcher struct {
	tool          *tool
	client        *control.Client
	width, height int

	st     *control.Status
	err    error
	chosen string // name of a virtual router or service group
	open   bool   // everything about it is shown
	top    int    // first line shown of what is longer than the terminal
}

type (
	// looked is the answer of one look.
	looked struct {
		st  *control.Status
		err error
	}
	lookAgain struct{}
)

// Init begins to look.
func (w *watcher) Init() tea.Cmd { return w.look }

func (w *watcher) look() tea.Msg {
	ctx, cancel := context.WithTimeout(context.Background(), watchPatience)
	defer cancel()
	st, err := w.client.Status(ctx, "")
	return looked{st, err}
}

// Update takes a look or a key in.
func (w *watcher) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m := msg.(type) {
	case tea.WindowSizeMsg:
		w.width, w.height = m.Width, m.Height
	case looked:
		w.take(m)
		return w, tea.Tick(watchPause, func(time.Time) tea.Msg { return lookAgain{} })
	case lookAgain:
		return w, w.look
	case tea.KeyPressMsg:
		return w, w.key(m.String())
	}
	return w, nil
}

// take keeps the last good answer, so that a pause of the daemon blanks nothing.
func (w *watcher) take(m looked) {
	if w.err = m.err; m.err == nil {
		w.st = m.st
	}
}

func (w *watcher) key(k string) tea.Cmd {
	switch k {
	case "q", "ctrl+c":
		return tea.Quit
	case "esc", "left", "backspace":
		w.open, w.top = false, 0
	case "enter", "right":
		w.open, w.top = w.chosen != "" && !w.open, 0
	case "up", "k":
		w.move(-1)
	case "down", "j":
		w.move(1)
	case "pgup":
		w.top -= max(w.height-2, 1)
	case "pgdown", "space":
		w.top += max(w.height-2, 1)
	}
	return nil
}

// move chooses the next name, or scrolls what is shown of one.
func (w *watcher) move(by int) {
	if w.open {
		w.top += by
		return
	}
	if w.st == nil {
		return
	}
	list := namesIn(w.st, routersAndGroups)
	if len(list) == 0 {
		return
	}
	at := slices.Index(list, w.chosen)
	if at < 0 && by < 0 {
		at = len(list)
	}
	w.chosen = list[min(max(at+by, 0), len(list)-1)]
}

// View is the screen.
func (w *watcher) View() tea.View {
	v := tea.NewView(strings.Join(w.screen(), "\n"))
	v.AltScreen = true
	return v
}

// screen are its lines: a part of the text, and one line about keys and trouble.
func (w *watcher) screen() []string {
	lines := strings.Split(strings.TrimRight(w.text(), "\n"), "\n")
	room := max(w.height-1, 1)
	if at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, inverse) }); at >= 0 {
		w.top = min(max(w.top, at-room+1), at) // what is chosen stays in sight
	}
	w.top = max(min(w.top, len(lines)-room), 0)
	if w.height > 0 {
		lines = lines[w.top:min(w.top+room, len(lines))]
		for len(lines) < room {
			lines = append(lines, "")
		}
	}
	return append(lines, w.foot())
}

func (w *watcher) foot() string {
	l := w.tool.look
	if w.err != nil {
		return l.red("! " + clean(w.err.Error()))
	}
	keys := "up/down choose · enter shows it · q ends"
	if w.open {
		keys = "up/down scroll · enter goes back · q ends"
	}
	at := ""
	if w.st != nil {
		at = w.st.At.In(w.tool.zone).Format("15:04:05") + " · "
	}
	return l.dim(at + keys)
}

// text is the whole status, or everything about what is chosen.
func (w *watcher) text() string {
	if w.st == nil {
		return "asking the daemon ..."
	}
	st := *w.st
	var b bytes.Buffer
	p := &statusPrinter{look: w.tool.look, width: w.width, zone: w.tool.zone, st: &st, now: st.At, tool: versionText()}
	if !w.open {
		p.all(&b)
		return w.marked(b.String())
	}
	if !only(&st, w.chosen) {
		return fmt.Sprintf("there is no virtual router or service group %q any more", clean(w.chosen))
	}
	p.named(&b, w.chosen)
	return b.String()
}

// inverse begins the line of what is chosen.
const inverse = "\x1b[7m"

// marked points to the line of what is chosen.
func (w *watcher) marked(text string) string {
	if w.chosen == "" {
		return text
	}
	lines := strings.Split(text, "\n")
	name := clean(w.chosen)
	for i, l := range lines {
		bare := uncolored(l)
		if rest, ok := strings.CutPrefix(bare, name); ok && strings.HasPrefix(rest, " ") {
			lines[i] = inverse + bare + "\x1b[0m"
		}
	}
	return strings.Join(lines, "\n")
}

// uncolored is a line without colours.
func uncolored(s string) string {
	for {
		before, rest, found := strings.Cut(s, "\x1b[")
		if !found {
			return s
		}
		_, after, _ := strings.Cut(rest, "m")
		s = before + after
	}
}

// only leaves of a whole status what belongs to a name; false if there is no such name.
func only(st *control.Status, name string) bool {
	follows := []string{name}
	i := slices.IndexFunc(st.Services, func(s daemon.ServiceStatus) bool { return s.Name == name || slices.Contains(s.Follows, name) })
	if i >= 0 {
		if st.Services[i].Name == name && routerIn(st, name) == nil {
			follows = st.Services[i].Follows
		}
		st.Services = st.Services[i : i+1]
	} else {
		st.Services = nil
	}
	st.Routers = slices.DeleteFunc(slices.Clone(st.Routers), func(r daemon.RouterStatus) bool { return !slices.Contains(follows, r.Name) })
	return len(st.Routers)+len(st.Services) > 0
}

// plain prints the status whenever it has changed, for what is no terminal.
func (w *watcher) plain(ctx context.Context) error {
	last := ""
	for {
		m, _ := w.look().(looked)
		if w.take(m); w.err != nil {
			return w.err
		}
		// What is the same but for times is the same.
		if text := w.text(); unnumbered(text) != last {
			if _, err := io.WriteString(w.tool.out, w.st.At.In(w.tool.zone).Format("2006-01-02 15:04:05")+"\n"+text+"\n"); err != nil {
				return err
			}
			last = unnumbered(text)
		}
		if pause(ctx, 2*watchPause); ctx.Err() != nil {
			return nil
		}
	}
}
