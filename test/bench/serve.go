package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// serve is the other side of the checks, in a process of its own so that its work
// is not counted as the daemon's: `serve net ADDRESS` is a web server on ports 80 and
// 443, a name server on 53 and something that answers PONG on 6379; `serve systemd
// ADDRESS` is systemd on a message bus. It ends with the lab.
func serve(args []string) error {
	if len(args) != 2 {
		return errors.New("want net or systemd, and an address")
	}
	ordinary()
	if args[0] == "systemd" {
		return serveSystemd(args[1])
	}
	failed := make(chan error)
	go func() { failed <- serveDNS(net.JoinHostPort(args[1], "53")) }()
	go func() { failed <- serveTCP(net.JoinHostPort(args[1], "6379")) }()
	go func() { failed <- serveTLS(net.JoinHostPort(args[1], "443")) }()
	go func() {
		srv := &http.Server{Addr: net.JoinHostPort(args[1], "80"), ReadHeaderTimeout: time.Minute,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") })}
		failed <- srv.ListenAndServe()
	}()
	return <-failed
}

// ordinary gives the process ordinary scheduling, as the services of a host have,
// where the bench runs under `chrt -r` so that the daemon does.
func ordinary() {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.SchedSetAttr(tid, &unix.SchedAttr{Policy: unix.SCHED_NORMAL}, 0)
		}
	}
}

// serveTLS is a web server with the test certificate of net/http/httptest.
func serveTLS(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") }))
	_ = srv.Listener.Close()
	srv.Listener = l
	srv.StartTLS()
	select {} // it ends with the lab
}

func serveTCP(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if _, err := c.Read(make([]byte, 64)); err == nil {
				_, _ = io.WriteString(c, "+PONG\r\n")
			}
		}()
	}
}

// serveDNS answers every question with one address.
func serveDNS(address string) error {
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	buf := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response = true
		a := &dnsmessage.AResource{}
		binary.BigEndian.PutUint32(a.A[:], 0xc0000250) // 192.0.2.80
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 5}, Body: a}}
		if b, err := m.Pack(); err == nil {
			_, _ = c.WriteTo(b, from)
		}
	}
}

// manager plays systemd: every unit is active.
type manager struct{}

// ListUnitsByNames is org.freedesktop.systemd1.Manager.ListUnitsByNames.
func (manager) ListUnitsByNames(names []string) (out []struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	Job                                             uint32
	JobType                                         string
	JobPath                                         dbus.ObjectPath
}, _ *dbus.Error) {
	for _, n := range names {
		out = append(out, struct {
			Name, Description, Load, Active, Sub, Following string
			Path                                            dbus.ObjectPath
			Job                                             uint32
			JobType                                         string
			JobPath                                         dbus.ObjectPath
		}{Name: n, Load: "loaded", Active: "active", Sub: "running", Path: "/x", JobPath: "/"})
	}
	return out, nil
}

func serveSystemd(address string) error {
	conn, err := dbus.Connect(address)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	if err := conn.Export(manager{}, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"); err != nil {
		return err
	}
	if _, err := conn.RequestName("org.freedesktop.systemd1", dbus.NameFlagDoNotQueue); err != nil {
		return err
	}
	<-conn.Context().Done()
	return errors.New("the bus is gone")
}
