package watch

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sotto/internal/role"
)

// This test binary is also the program under test: the watch with roles that do
// what the keys say. See fakeGate and fakeDesk.
func TestMain(m *testing.M) {
	if n, ok := role.Named(os.Args[0]); ok {
		switch n {
		case role.Gate:
			os.Exit(fakeGate())
		case role.Desk:
			os.Exit(fakeDesk())
		case role.Link:
			os.Exit(fakeLink())
		case role.Ward:
			os.Exit(fakeWard())
		}
	}
	switch os.Args[0] {
	case "watch-under-test":
		os.Exit(watchUnderTest())
	case "shell-under-test":
		os.Exit(shellUnderTest())
	}
	os.Exit(m.Run())
}

func init() { runtime.LockOSThread() }

func watchUnderTest() int {
	lock, _ := time.ParseDuration(os.Getenv("TEST_LOCK"))
	logoff, _ := time.ParseDuration(os.Getenv("TEST_LOGOFF"))
	mode, _ := strconv.Atoi(os.Getenv("TEST_MODE"))
	clocks, wakes := testClocks()
	code, err := run(Config{Mode: role.Mode(mode), LogoffAfter: logoff, Demo: os.Getenv("TEST_DEMO"), Tell: tellTest(),
		Profile: role.Profile{Name: os.Getenv("TEST_PROFILE"), Data: os.Getenv("TEST_DATA")},
		Display: role.Display{LockAfter: lock, Quiet: os.Getenv("TEST_QUIET") != ""}}, clocks, wakes)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	return code
}

func crash() { syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }

func key() byte {
	b := make([]byte, 1)
	if _, err := os.Stdin.Read(b); err != nil {
		return 'q'
	}
	return b[0]
}

func fakeGate() int {
	self, setup, err := role.Enter[*role.GateSetup](role.Gate)
	if err != nil {
		return 99
	}
	if setup.Mode == role.Wipe {
		return fakeWipe(self, setup)
	}
	var over atomic.Bool
	shown := ""
	show := func(format string, a ...any) {
		line := fmt.Sprintf(format+"\r\n", a...)
		shown += line
		fmt.Print(line)
	}
	fmt.Print("\x1b[H\x1b[2J\x1b[?1003h")
	show("GATE mode %d failures %d wait %v note %q env %q", setup.Mode, setup.Failures, setup.Wait, setup.Note, os.Getenv("SECRET"))
	go func() {
		for {
			m, err := self.Control.Receive()
			if err != nil {
				os.Exit(role.ExitOrphan)
			}
			switch m := m.(type) {
			case *role.Status:
				show("STATUS %s %d", m.Words, m.Waiting)
				if m.Ring {
					show("RING for %d", m.Stat)
				}
			case *role.Redraw:
				fmt.Print("\x1b[H\x1b[2J" + shown + "DRAWN ANEW\r\n")
			case *role.End:
				if !over.Load() {
					os.Exit(role.ExitQuit)
				}
			}
		}
	}()
	if setup.Profile.Name == "crash" {
		crash()
	}
	for {
		switch k := key(); k {
		case 'u':
			over.Store(true)
			self.Control.Send(&role.Unlocked{})
			io.WriteString(self.Handover, "the key")
			self.Handover.Close()
			return role.ExitDone
		case 'n': // unlocks, but hands over nothing
			over.Store(true)
			self.Control.Send(&role.Unlocked{})
			return role.ExitDone
		case 's': // lets a STAT message come
			self.Control.Send(&role.NeedLink{})
		case 'W', 'O', 'C': // the link says that the organisation has ordered something
			self.Link.Write([]byte{k})
		case 'w':
			return role.ExitWrongPIN
		case 'd':
			return role.ExitDone
		case 'f':
			return self.Fail(fmt.Errorf("the vault is damaged"))
		case 'q':
			return role.ExitQuit
		case 'k':
			crash()
		case 'x': // says what is no message
			self.Control.Send(&role.GateSetup{})
			self.Link.Write([]byte("hello"))
			syscall.Write(3, []byte("not a frame at all"))
			select {}
		}
	}
}

func fakeDesk() int {
	self, setup, err := role.Enter[*role.DeskSetup](role.Desk)
	if err != nil {
		return 99
	}
	if setup.Profile.Name == "slow desk" { // it has not come to listen yet
		select {}
	}
	handed, _ := io.ReadAll(self.Handover)
	if len(handed) == 0 {
		return role.ExitNoKey
	}
	fmt.Print("\x1b[H\x1b[2J\x1b[?1003h\x1b[?25l\x1b[?2026h\x1b[?2026l")
	hangs, slow := false, false
	go func() {
		for {
			m, err := self.Control.Receive()
			if err != nil {
				os.Exit(role.ExitOrphan)
			}
			switch m.(type) {
			case *role.Lock, *role.End:
				if !hangs {
					fmt.Print("\x1b[H\x1b[2J")
					self.Control.Send(&role.Locking{})
					if slow { // much longer than the watch waits for the answer
						time.Sleep(10 * answerLooks * answerLook)
						os.WriteFile(filepath.Join(setup.Profile.Data, "draft"), []byte("kept"), 0o600)
					}
					os.Exit(role.ExitDone)
				}
			}
		}
	}()
	go func() {
		b := make([]byte, 64)
		for {
			n, err := self.Link.Read(b)
			if err != nil {
				fmt.Printf("LINK GONE\r\n")
				return
			}
			fmt.Printf("LINK SAYS %s\r\n", b[:n])
		}
	}()
	self.Control.Send(&role.Ready{})
	fmt.Printf("DESK has %q\r\n", handed)
	numbers := ""
	for _, d := range setup.Dealt {
		numbers += fmt.Sprintf(" %d", d.Number)
	}
	fmt.Printf("DEALT%s\r\n", cmp.Or(numbers, " none"))
	for {
		k := key()
		self.Control.Send(&role.Activity{})
		switch k {
		case 'l':
			self.Control.Send(&role.Locking{})
			self.Control.Send(&role.Locked{})
			return role.ExitDone
		case 'c':
			self.Control.Send(&role.Locked{ChangePIN: true})
			return role.ExitDone
		case 'b': // blanks, and does not end
			self.Control.Send(&role.Locking{})
			hangs = true
			select {}
		case 'W', 'O': // writes after it has said so
			self.Control.Send(&role.Locking{})
			self.Control.Send(&role.Locked{})
			hangs = true
			for !exists(filepath.Join(setup.Profile.Data, "go on")) {
				time.Sleep(time.Millisecond)
			}
			if k == 'W' {
				fmt.Print("\x1b[H\x1b[2JWRITTEN LATE\r\n")
				return role.ExitDone
			}
			fmt.Print("\x1b[H\x1b[2JWRITTEN LATE\r\n\x1b]0;a title without end")
			select {}
		case 'L': // says so and does not end
			self.Control.Send(&role.Locked{})
			hangs = true
			select {}
		case 'S': // says so again and again, and does not end
			hangs = true
			for {
				self.Control.Send(&role.Locking{})
				self.Control.Send(&role.Locked{})
				time.Sleep(100 * time.Millisecond)
			}
		case 'h':
			hangs = true
			fmt.Printf("DEAF\r\n")
		case 'p': // draws for ever
			hangs = true
			for {
				fmt.Print("\x1b[5;1HDESK PAINTS")
				time.Sleep(time.Millisecond)
			}
		case 't': // has more to say than a terminal takes that nobody reads
			hangs = true
			for {
				fmt.Print(strings.Repeat("DESK FLOODS ", 1000))
			}
		case 'A', 'X', 'Y', 'Z': // the organisation
			fakeOrder(self, k)
		case 'V': // the link says that it has ordered a wipe
			self.Link.Write([]byte("W"))
		case 'D': // keeps its draft slowly
			slow = true
			fmt.Printf("SLOW\r\n")
		case 'f':
			return self.Fail(fmt.Errorf("the disk is full"))
		case 'k':
			crash()
		case 'q':
			return role.ExitQuit
		}
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func fakeLink() int {
	self, _, err := role.Enter[*role.LinkSetup](role.Link)
	if err != nil {
		return 99
	}
	if f, err := os.Open("/dev/tty"); err == nil {
		f.Close()
		self.Control.Send(&role.Status{Words: "the link has a terminal"})
	} else {
		self.Control.Send(&role.Status{Words: "started", Waiting: 2})
	}
	attached := 0
	var desk *os.File
	for {
		m, err := self.Control.Receive()
		if err != nil {
			return role.ExitOrphan
		}
		switch m := m.(type) {
		case *role.Logoff:
			if m.After > 0 {
				time.AfterFunc(m.After, func() { os.Exit(role.ExitDone) })
			}
		case *role.Attach:
			if desk != nil {
				desk.Close()
			}
			desk = self.Control.TakeFile()
			go fakeLinkOrders(self, desk)
			attached++
			fmt.Fprintf(desk, "attached %d", attached)
			self.Control.Send(&role.Status{Words: "online", Online: true, Waiting: attached, Stat: attached, Ring: true})
		case *role.End:
			return role.ExitDone
		}
	}
}

func fakeWard() int {
	self, setup, err := role.Enter[*role.WardSetup](role.Ward)
	if err != nil {
		return 99
	}
	if err := os.WriteFile(filepath.Join(setup.Dir, "vault"), nil, 0o600); err != nil {
		return self.Fail(err)
	}
	self.Control.Send(&role.Ready{})
	for {
		if m, err := self.Control.Receive(); err != nil {
			return role.ExitOrphan
		} else if _, ok := m.(*role.End); ok {
			return role.ExitDone
		}
	}
}
