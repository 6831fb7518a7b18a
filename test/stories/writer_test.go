package stories

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func init() { parts["write"], parts["hold"] = writer, holder }

// writer adds a line to a file every 20 ms, or as often as it is told, as a database
// would: each is on the disk when the line is printed. The file is opened each time, and never made: it is there
// where the file system is mounted, and only there. Being asked to end because the file
// system is to be unmounted does not end it: it is to write again when that is back.
func writer(args []string) int {
	signal.Ignore(syscall.SIGTERM)
	pause := 20 * time.Millisecond
	if len(args) > 2 {
		pause, _ = time.ParseDuration(args[2])
	}
	for n := 0; ; time.Sleep(pause) {
		line := args[1] + "-" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.Itoa(n)
		if err := appendLine(args[0], line); err == nil {
			fmt.Println(line)
			n++
		}
	}
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, line); err != nil {
		return err
	}
	return f.Sync()
}

// holder stands in a directory, and does not end when it is asked to.
func holder(args []string) int {
	signal.Ignore(syscall.SIGTERM)
	if err := os.Chdir(args[0]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("holding")
	for {
		time.Sleep(time.Hour)
	}
}
