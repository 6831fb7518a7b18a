package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/conf/importer"
)

// maxImport bounds a file of another program, in bytes.
const maxImport = 4 << 20

func (t *tool) importVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "import keepalived|haresources FILE",
		Short: "Turn the configuration of keepalived or Heartbeat into ours",
		Long: `Turn the configuration of another program into ours. It goes to standard output;
what is different here, and what was not translated, to standard error and as
comments into the text. Read it before you use it. See docs/migration.md.`,
		Args: func(*cobra.Command, []string) error {
			return errors.New("from what? It is import keepalived FILE, or import haresources FILE")
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(t.importKeepalived(), t.importHaresources())
	return c
}

// oneFile insists on one argument.
func oneFile(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one FILE, and got %d", c.CommandPath(), len(args))
	}
	return nil
}

func strictFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("strict", false, "exit with 1 when something was not translated")
}

func (t *tool) importKeepalived() *cobra.Command {
	c := &cobra.Command{
		Use:   "keepalived FILE",
		Short: "Translate the VRRP half of a keepalived.conf",
		Example: `  backbeat import keepalived /etc/keepalived/keepalived.conf > backbeat.hcl
  backbeat check backbeat.hcl`,
		Args: oneFile,
	}
	strict := strictFlag(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		src, err := readImport(args[0])
		if err != nil {
			return failed(err)
		}
		return t.imported(importer.Keepalived(src), *strict)
	}
	return c
}

func (t *tool) importHaresources() *cobra.Command {
	c := &cobra.Command{
		Use:   "haresources FILE|DIR",
		Short: "Translate Heartbeat's haresources and the ha.cf beside it",
		Example: `  backbeat import haresources /etc/ha.d > backbeat.hcl
  backbeat import haresources --ha-cf ha.cf --vrid 61 haresources
  backbeat check --node node1,node2 backbeat.hcl`,
		Args: oneFile,
	}
	strict := strictFlag(c)
	cf := c.Flags().String("ha-cf", "", "Heartbeat's `ha.cf`; without it, the one beside haresources")
	vrid := c.Flags().Int("vrid", 51, "VRID of the first line; the next lines get the next numbers")
	lsb := c.Flags().Bool("lsb", false, "make steps of init scripts of services, not of systemd units")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if *vrid < 1 || *vrid > 255 {
			return fmt.Errorf("--vrid takes 1–255, and this is %d", *vrid)
		}
		path := args[0]
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, "haresources")
		}
		resources, err := readImport(path)
		if err != nil {
			return failed(err)
		}
		beside := *cf
		if beside == "" {
			beside = filepath.Join(filepath.Dir(path), "ha.cf")
		}
		options, err := readImport(beside)
		if err != nil && (*cf != "" || !errors.Is(err, fs.ErrNotExist)) {
			return failed(err)
		}
		return t.imported(importer.Haresources(options, resources, importer.HaresourcesOptions{VRID: *vrid, LSB: *lsb}), *strict)
	}
	return c
}

// readImport reads a file of another program. Its name without the directory is
// enough for comments.
func readImport(path string) (importer.Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return importer.Source{Name: filepath.Base(path)}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxImport+1))
	if err == nil && len(text) > maxImport {
		err = fmt.Errorf("%s is larger than %d MiB: is it the right file?", path, maxImport>>20)
	}
	return importer.Source{Name: filepath.Base(path), Text: text}, err
}

// imported prints a translation, and what check says about it: whoever pipes it
// into a file should know at once whether it is one.
func (t *tool) imported(r importer.Result, strict bool) error {
	nodes := r.Nodes
	if len(nodes) == 0 {
		nodes = []string{"this"}
	}
	missing, refused := r.Missing(), 0
	for _, n := range nodes[:1] {
		_, diags := conf.Load([]conf.Source{{Name: "the result", Text: []byte(r.HCL)}}, conf.Options{Override: n, Getenv: t.getenv})
		for _, d := range diags.List() {
			if d.Severity == "error" {
				missing++
				refused++
				r.Notes = append(r.Notes, importer.Note{File: d.File, Line: d.Line, Text: d.Summary + ": " + d.Detail})
			}
		}
	}
	if _, err := fmt.Fprint(t.out, r.HCL); err != nil {
		return failed(err)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(t.err, clean(n.String()))
	}
	if missing > 0 {
		fmt.Fprintf(t.err, "%s to do by hand\n", plural(missing, "thing"))
	}
	if refused > 0 {
		return failed(fmt.Errorf("backbeat check would refuse the result: %s, see above", plural(refused, "error")))
	}
	if strict && missing > 0 {
		return failure{}
	}
	return nil
}
