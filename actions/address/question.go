package address

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Questions to the kernel, on a socket of their own: answers do not mix with notices.

// interruptedTries is how often a dump is repeated that the kernel says was
// inconsistent because something changed meanwhile.
const interruptedTries = 5

// dialQuestions opens a socket for dumps.
func dialQuestions() (*netlink.Conn, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for questions: %w", err)
	}
	// Lets the kernel select by interface (4.20 and later); we select as well.
	_ = c.SetOption(netlink.GetStrictCheck, true)
	return c, nil
}

// ask sends one request and returns the answers.
func ask(c *netlink.Conn, m netlink.Message) ([]netlink.Message, error) {
	if err := c.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return nil, err
	}
	return c.Execute(m)
}

// dumpAddresses returns the addresses of one link, or of all for link 0, in the kernel's order.
func dumpAddresses(c *netlink.Conn, link int) ([]addressMessage, error) {
	body := make([]byte, unix.SizeofIfAddrmsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(link))
	answers, err := dump(c, unix.RTM_GETADDR, body)
	if err != nil {
		if link != 0 && errors.Is(err, unix.ENODEV) {
			return nil, nil // it has just gone
		}
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	list := make([]addressMessage, 0, len(answers))
	for _, a := range answers {
		m, err := parseAddress(a.Data)
		if err != nil {
			return nil, err
		}
		if a.Header.Type == unix.RTM_NEWADDR && (link == 0 || m.link == link) {
			list = append(list, m)
		}
	}
	return list, nil
}

// dump asks for a list. One that stays inconsistent is used all the same:
// another notice is on its way, and what is wrongly believed to be missing is
// found to be there when we add it.
func dump(c *netlink.Conn, kind netlink.HeaderType, body []byte) ([]netlink.Message, error) {
	request := netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Dump}, Data: body}
	for try := 1; ; try++ {
		answers, err := ask(c, request)
		if err != nil || !interrupted(answers) || try == interruptedTries {
			return answers, err
		}
	}
}

func interrupted(answers []netlink.Message) bool {
	for _, a := range answers {
		if a.Header.Flags&netlink.DumpInterrupted != 0 {
			return true
		}
	}
	return false
}

// findLink asks for an interface by name; index 0 means that there is none.
func findLink(c *netlink.Conn, name string) (linkMessage, error) {
	if name == "" || len(name) >= unix.IFNAMSIZ {
		return linkMessage{}, nil // no interface can have such a name
	}
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.IFLA_IFNAME, Data: append([]byte(name), 0)},
	})
	if err != nil {
		return linkMessage{}, fmt.Errorf("asking for interface %s: %w", name, err)
	}
	answers, err := ask(c, netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request},
		Data:   append(make([]byte, unix.SizeofIfInfomsg), attrs...),
	})
	switch {
	case errors.Is(err, unix.ENODEV):
		return linkMessage{}, nil
	case err != nil:
		return linkMessage{}, fmt.Errorf("asking for interface %s: %w", name, err)
	case len(answers) == 0:
		return linkMessage{}, fmt.Errorf("asking for interface %s: no answer", name)
	}
	return parseLink(answers[0].Data)
}
