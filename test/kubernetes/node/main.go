// A node for tests, where no kubelet can run: a FAKE one, with Kubernetes' own streaming code (k8s.io/kubelet). What a container
// runs are processes of this machine in a folder of their own. The API server in front of it is the real one.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/kubelet/pkg/cri/streaming/portforward"
	streaming "k8s.io/kubelet/pkg/cri/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

type node struct{ folder string }

func (n node) ExecInContainer(ctx context.Context, _ string, _ types.UID, _ string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	program := exec.CommandContext(ctx, command[0], command[1:]...)
	program.Dir = n.folder
	program.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + n.folder, "TERM=xterm"}
	var err error
	if tty {
		err = runInTerminal(program, in, out, resize)
	} else {
		err = run(program, in, out, errOut)
	}
	if exited, ok := err.(*exec.ExitError); ok {
		return &utilexec.ExitErrorWrapper{ExitError: exited}
	}
	return err
}

func run(program *exec.Cmd, in io.Reader, out, errOut io.Writer) error {
	program.Stdout, program.Stderr = out, errOut
	if in == nil {
		return program.Run()
	}
	input, err := program.StdinPipe()
	if err != nil {
		return err
	}
	// Not program.Stdin: it would be waited for until the client closes it.
	go func() {
		io.Copy(input, in)
		input.Close()
	}()
	return program.Run()
}

func runInTerminal(program *exec.Cmd, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize) error {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer master.Close()
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	program.Stdin, program.Stdout, program.Stderr = terminal, terminal, terminal
	program.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = program.Start()
	terminal.Close()
	if err != nil {
		return err
	}
	go func() {
		for size := range resize {
			unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
		}
	}()
	if in != nil {
		go io.Copy(master, in)
	}
	shown := make(chan struct{})
	go func() {
		io.Copy(out, master)
		close(shown)
	}()
	err = program.Wait()
	select {
	case <-shown:
	case <-time.After(time.Second):
	}
	return err
}

// A container here says a line, and says back what it is told.
func (n node) AttachContainer(_ context.Context, _ string, _ types.UID, _ string, in io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	fmt.Fprintln(out, "attached to a container")
	if in != nil {
		io.Copy(out, in)
	}
	return nil
}

// A port of a pod is that port of this machine's loopback.
func (n node) PortForward(_ context.Context, _ string, _ types.UID, port int32, stream io.ReadWriteCloser) error {
	peer, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer peer.Close()
	go func() {
		io.Copy(peer, stream)
		peer.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(stream, peer)
	return err
}

func (n node) logs(w http.ResponseWriter, r *http.Request) {
	file, err := os.Open(n.folder + "/log")
	if err != nil {
		http.Error(w, "no log", http.StatusNotFound)
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", "text/plain")
	reader := bufio.NewReader(file)
	if limit, err := strconv.ParseInt(r.URL.Query().Get("limitBytes"), 10, 64); err == nil {
		reader = bufio.NewReader(io.LimitReader(file, limit))
	}
	for r.Context().Err() == nil {
		line, err := reader.ReadString('\n')
		io.WriteString(w, line)
		if err == nil {
			continue
		}
		w.(http.Flusher).Flush()
		if r.URL.Query().Get("follow") != "true" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (n node) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	const idle, creation = time.Hour, 30 * time.Second
	switch parts[0] {
	case "exec", "attach":
		options, err := streaming.NewOptions(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		protocols := []string{"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"}
		if parts[0] == "exec" {
			streaming.ServeExec(w, r, n, parts[2], "", parts[3], r.URL.Query()["command"], options, idle, creation, protocols)
		} else {
			streaming.ServeAttach(w, r, n, parts[2], "", parts[3], options, idle, creation, protocols)
		}
	case "portForward":
		options, err := portforward.NewV4Options(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		portforward.ServePortForward(w, r, n, parts[2], "", options, idle, creation, []string{"portforward.k8s.io"})
	case "containerLogs":
		n.logs(w, r)
	default:
		http.Error(w, "not here", http.StatusNotFound)
	}
}

func main() {
	folder := flag.String("folder", "", "where its processes run")
	certificate := flag.String("cert", "", "PEM")
	key := flag.String("key", "", "PEM")
	clients := flag.String("client-ca", "", "PEM of who may call")
	flag.Parse()
	trusted, err := os.ReadFile(*clients)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(trusted)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %d\n", listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{
		Handler: http.HandlerFunc(node{*folder}.serve),
		// SPDY's upgrade needs HTTP/1.1.
		TLSConfig: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, NextProtos: []string{"http/1.1"}},
	}
	log.Fatal(server.ServeTLS(listener, *certificate, *key))
}
