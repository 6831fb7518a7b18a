package chaos

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// throwGarbage opens many connections to a control socket and says what no client
// says: noise, half a request, a body without end, nothing at all. It returns how many
// connections there were, and adds those that were answered.
func throwGarbage(socket string, r *rand.Rand, answered *int) (thrown int, err error) {
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	texts := [][]byte{
		noise,
		[]byte("GET /v1/status HTTP/1.1\r\nHost: x\r\n"),
		[]byte("POST /v1/command HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n{"),
		[]byte("POST /v1/command HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{\"verb\":\"x\"}"),
		[]byte("POST /v1/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
		[]byte("GET /v1/status?router=" + string(bytes.Repeat([]byte("%ff"), 2000)) + " HTTP/1.1\r\nHost: x\r\n\r\n"),
		bytes.Repeat([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 100),
		[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		nil,
	}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for i := range 150 {
		c, err := net.DialTimeout("unix", socket, 3*time.Second)
		if err != nil {
			return i, fmt.Errorf("connection %d: %w", i, err)
		}
		open = append(open, c)
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_, _ = c.Write(texts[r.IntN(len(texts))]) // it may hang up, which is an answer
	}
	for _, c := range open {
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
		if n, _ := c.Read(noise[:1]); n > 0 {
			*answered++
		}
	}
	return len(open), nil
}
