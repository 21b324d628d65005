package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// nobody is who PostgreSQL runs as where the tests run as root, which it refuses.
const nobody = 65534

// database is a PostgreSQL of a test: over the network, to whom its certificate
// and a password say; and for the test itself through a socket in its folder.
type database struct {
	*Server
	psql     string
	password string // of ejabberd
}

// startPostgres starts PostgreSQL in a folder of its own, which remove removes: it
// may have to be somebody else's than ours, and so be reached from above. The
// certificate is issued by ca for db.hospital.example and its address, at which ejabberd looks.
func startPostgres(ctx context.Context, s *Server, ca *Authority) (_ *database, remove func(), err error) {
	initdb, postgres := findPostgres("initdb"), findPostgres("postgres")
	psql, lookErr := exec.LookPath("psql")
	if initdb == "" || postgres == "" || lookErr != nil {
		return nil, nil, fmt.Errorf("postgresql: %w", ErrMissing)
	}
	dir, err := os.MkdirTemp("", "sotto-postgres")
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	port, err := FreePorts(1)
	if err != nil {
		return nil, nil, err
	}
	d := &database{psql: psql, password: rand.Text()}
	d.Server = &Server{Name: "PostgreSQL", Addr: fmt.Sprintf("127.0.0.1:%d", port[0]), CAFile: s.CAFile, Dir: dir, log: filepath.Join(dir, "console.log")}
	if err := ca.Issue(dir, "server", time.Now().Add(12*time.Hour), "db."+hospital, "127.0.0.1"); err != nil {
		return nil, nil, err
	}
	credential := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + dir}
		if os.Geteuid() == 0 {
			asNobody(cmd)
		}
		return cmd
	}
	if os.Geteuid() == 0 {
		files, _ := filepath.Glob(filepath.Join(dir, "server.*"))
		for _, name := range append(files, dir) {
			err = errors.Join(err, os.Chown(name, nobody, nobody))
		}
		if err != nil {
			return nil, nil, err
		}
	}
	data := filepath.Join(dir, "data")
	if out, err := credential(exec.CommandContext(ctx, initdb, "--pgdata", data, "--username", "admin", "--auth-local", "trust",
		"--auth-host", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	rules := "local all admin trust\nhostssl ejabberd ejabberd 127.0.0.1/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(rules), 0o600); err != nil {
		return nil, nil, err
	}
	d.command = func() *exec.Cmd {
		cmd := exec.Command(postgres, "-D", data, "-k", dir)
		for _, setting := range []string{
			"listen_addresses=127.0.0.1", fmt.Sprintf("port=%d", port[0]), "password_encryption=scram-sha-256",
			"ssl=on", "ssl_min_protocol_version=TLSv1.3", "ssl_cert_file=" + dir + "/server.crt", "ssl_key_file=" + dir + "/server.key",
			"max_connections=50", "shared_buffers=16MB",
		} {
			cmd.Args = append(cmd.Args, "-c", setting)
		}
		return credential(cmd)
	}
	if err := d.Start(ctx); err != nil {
		return nil, nil, err
	}
	if err := d.awaitReady(ctx); err != nil {
		d.Stop()
		return nil, nil, err
	}
	if _, err := d.query(ctx, "postgres", "CREATE ROLE ejabberd LOGIN PASSWORD '"+d.password+"'; CREATE DATABASE ejabberd OWNER ejabberd;"); err != nil {
		d.Stop()
		return nil, nil, err
	}
	return d, func() { os.RemoveAll(dir) }, nil
}

// findPostgres returns where one of its programs is: Debian keeps them out of PATH.
func findPostgres(name string) string {
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		return found[len(found)-1]
	}
	found, _ := exec.LookPath(name)
	return found
}

// awaitReady waits until it takes statements: its port is open before.
func (d *database) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		_, err := d.query(ctx, "postgres", "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-time.After(25 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		}
	}
}

// query has the administrator run statements and returns what they say.
func (d *database) query(ctx context.Context, name, statements string) (string, error) {
	_, port, _ := strings.Cut(d.Addr, ":")
	cmd := exec.CommandContext(ctx, d.psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", d.Dir, "-p", port, "-U", "admin", "-d", name)
	cmd.Stdin = strings.NewReader(statements)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, out)
	}
	return string(out), nil
}

// quote makes a literal of SQL.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
