package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// names has Erlang find the names in the configuration on loopback.
const names = `{lookup, [file, native]}.
{host, {127,0,0,1}, ["node1.hospital.example", "db.hospital.example"]}.
{host, {127,0,0,2}, ["node2.hospital.example"]}.
`

// Cluster is an ejabberd of two nodes with one PostgreSQL. Its nodes are stopped,
// killed and started like any server; each has an address of its own.
type Cluster struct {
	Nodes    [2]*Server
	Domain   string
	CAFile   string
	Database *Server

	db     *database
	remove func()
	node   [2]erlangNode
	env    []string // of what asks the second node
}

// StartCluster starts two nodes with docs/relays/ejabberd-cluster.yml below dir.
// Nothing but their ports, paths and addresses is other than there: what they say
// to each other and to the database is TLS, here as there.
func StartCluster(ctx context.Context, dir string, h Hardened) (_ *Cluster, err error) {
	erl, _, libraries, err := findEjabberd()
	if err != nil {
		return nil, err
	}
	if drivers, _ := filepath.Glob("/usr/lib/erlang/lib/p1_pgsql-*"); len(drivers) == 0 {
		return nil, fmt.Errorf("erlang-p1-pgsql: %w", ErrMissing)
	}
	schema, err := os.ReadFile("/usr/share/ejabberd/sql/pg.new.sql")
	if err != nil {
		return nil, fmt.Errorf("ejabberd's schema for PostgreSQL: %w", ErrMissing)
	}
	ca, err := NewAuthority(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Domain: hospital, CAFile: ca.File}
	if c.db, c.remove, err = startPostgres(ctx, &Server{CAFile: ca.File}, ca); err != nil {
		return nil, err
	}
	c.Database = c.db.Server
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	if _, err := c.db.query(ctx, "ejabberd", "SET ROLE ejabberd;\n"+string(schema)); err != nil {
		return nil, fmt.Errorf("laying out ejabberd's database: %w", err)
	}
	if err := c.AddTeam(ctx, "", h.People...); err != nil {
		return nil, err
	}
	port, err := FreePorts(5)
	if err != nil {
		return nil, err
	}
	upload := filepath.Join(dir, "upload")
	if err := os.Mkdir(upload, 0o700); err != nil {
		return nil, err
	}
	cookie := rand.Text()
	var node [2]erlangNode
	for i := range c.Nodes {
		address := fmt.Sprintf("127.0.0.%d", i+1)
		own := filepath.Join(dir, fmt.Sprintf("node%d", i+1))
		for _, name := range []string{"", "log", "mnesia"} {
			if err := os.Mkdir(filepath.Join(own, name), 0o700); err != nil {
				return nil, err
			}
		}
		s := &Server{Name: fmt.Sprintf("ejabberd node %d", i+1), Domain: hospital, Client: port[2*i], CAFile: ca.File, Dir: own,
			Addr: fmt.Sprintf("127.0.0.1:%d", port[2*i+1]), WebSocket: fmt.Sprintf("wss://localhost:%d/ws", port[2*i+1]), log: filepath.Join(own, "log", "ejabberd.log")}
		s.Version = "23.01"
		until := time.Now().Add(90 * 24 * time.Hour)
		if err := errors.Join(
			ca.Issue(own, "server", until, append([]string{hospital, "localhost", "node1." + hospital, "node2." + hospital}, h.Names...)...),
			ca.Issue(own, "node", until, fmt.Sprintf("node%d.%s", i+1, hospital)),
			os.WriteFile(filepath.Join(own, "inetrc"), []byte(names), 0o600),
			os.WriteFile(filepath.Join(own, ".erlang.cookie"), []byte(cookie), 0o400)); err != nil {
			return nil, err
		}
		_, sqlPort, _ := strings.Cut(c.db.Addr, ":")
		text, err := h.read("ejabberd-cluster.yml",
			"port: 5222", fmt.Sprintf("port: %d", port[2*i]), "port: 443", fmt.Sprintf("port: %d", port[2*i+1]), `ip: "::"`, `ip: "127.0.0.1"`,
			"/etc/ejabberd/hospital.example.pem", own+"/server.pem", "/etc/ejabberd/ca.pem", ca.File, "/srv/ejabberd/upload", upload,
			"sql_port: 5432", "sql_port: "+sqlPort, "CHANGE-ME", c.db.password,
			"node1.@HOST@", fmt.Sprintf("node%d.@HOST@", i+1))
		if err != nil {
			return nil, err
		}
		links, err := h.read("cluster-tls.conf", "/etc/ejabberd/node.pem", own+"/node.pem", "/etc/ejabberd/ca.pem", ca.File)
		if err != nil {
			return nil, err
		}
		start, err := h.read("ejabberdctl.cfg", "10.0.0.1", address, "node1.", fmt.Sprintf("node%d.", i+1), "5210", fmt.Sprint(port[4]), "/etc/ejabberd", own)
		if err != nil {
			return nil, err
		}
		if node[i], err = readCtl(start); err != nil {
			return nil, err
		}
		config := filepath.Join(own, "ejabberd.yml")
		if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.WriteFile(filepath.Join(own, "cluster-tls.conf"), []byte(links), 0o600)); err != nil {
			return nil, err
		}
		n := node[i]
		s.command = func() *exec.Cmd {
			cmd := exec.Command(erl, append(n.arguments(n.name), "-mnesia", "dir", fmt.Sprintf("%q", filepath.Join(own, "mnesia")), "-s", "ejabberd")...)
			cmd.Env = []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + own, "LANG=C.UTF-8",
				"ERL_LIBS=" + libraries, "ERL_CRASH_DUMP_BYTES=0", "ERL_INETRC=" + filepath.Join(own, "inetrc"),
				"EJABBERD_CONFIG_PATH=" + config, "EJABBERD_LOG_PATH=" + s.log,
				"EJABBERD_PID_PATH=" + filepath.Join(own, "ejabberd.pid"),
			}
			return cmd
		}
		c.Nodes[i] = s
		if err := s.Start(ctx); err != nil {
			return nil, err
		}
	}
	c.node, c.env = node, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Nodes[1].Dir, "LANG=C.UTF-8",
		"ERL_LIBS=" + libraries, "ERL_CRASH_DUMP_BYTES=0", "ERL_INETRC=" + filepath.Join(c.Nodes[1].Dir, "inetrc")}
	// What "ejabberdctl started" and "ejabberdctl join_cluster" do: a node that is
	// still starting its modules loses what they have when it joins.
	out, err := c.ask(ctx, fmt.Sprintf(`Started('%[2]s'), Started('%[1]s'), Say(Ask('%[1]s', ejabberd_admin, join_cluster, [<<"%[2]s">>]))`, node[1].name, node[0].name))
	if err == nil && out != "ok" {
		err = errors.New(out)
	}
	if err != nil {
		return nil, fmt.Errorf("joining the nodes: %w\n%s", err, c.Nodes[1].Log(30))
	}
	return c, nil
}

// ask evaluates Erlang in a node of its own, as ejabberdctl does.
func (c *Cluster) ask(ctx context.Context, what string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	erl, err := exec.LookPath("erl")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, erl, append(c.node[1].arguments("ctl-"+c.node[1].name), "-dist_listen", "false", "-eval", `
		Say = fun(X) -> io:format("~p", [X]) end,
		Ask = fun(Node, M, F, A) -> rpc:call(Node, M, F, A) end,
		Started = fun Started(Node) -> case Ask(Node, ejabberd_admin, status, []) of {ok, _} -> ok; _ -> timer:sleep(50), Started(Node) end end,
		`+what+", halt().")...)
	cmd.Env = c.env
	dieWithParent(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return string(out), nil
}

// Expire removes what is older in the archives, as "ejabberdctl
// delete_old_mam_messages all" does. On a busy machine the first calls may not get
// through to the node.
func (c *Cluster) Expire(ctx context.Context, days int) error {
	out, err := c.ask(ctx, fmt.Sprintf(`Started('%[1]s'), Say(Ask('%[1]s', mod_mam, delete_old_messages, [<<"all">>, %[2]d]))`, c.node[1].name, days))
	if err == nil && out != "ok" {
		err = errors.New(out)
	}
	return err
}

// Age makes all that is in the archives older.
func (c *Cluster) Age(ctx context.Context, by time.Duration) error {
	_, err := c.db.query(ctx, "ejabberd", fmt.Sprintf(`UPDATE archive SET "timestamp" = "timestamp" - %d, created_at = created_at - interval '%d seconds'`, by.Microseconds(), by/time.Second))
	return err
}

// Archived returns how many messages are in the archives.
func (c *Cluster) Archived(ctx context.Context) (int, error) {
	out, err := c.db.query(ctx, "ejabberd", "SELECT count(*) FROM archive")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(out))
}

// running returns how many nodes the second one knows to be running, itself included.
func (c *Cluster) running(ctx context.Context) (int, error) {
	out, err := c.ask(ctx, fmt.Sprintf(`Started('%[1]s'), Started('%[2]s'), Say(length(Ask('%[1]s', ejabberd_cluster, get_nodes, [])))`, c.node[1].name, c.node[0].name))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}

// erlangNode is what ejabberdctl makes of its configuration.
type erlangNode struct {
	name, address, port string
	options             []string
}

// readCtl reads the settings that StartCluster needs from an ejabberdctl.cfg.
func readCtl(text string) (n erlangNode, err error) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "ERLANG_NODE":
			n.name = value
		case "INET_DIST_INTERFACE":
			n.address = value
		case "ERL_DIST_PORT":
			n.port = value
		case "ERL_OPTIONS":
			n.options = strings.Fields(strings.Trim(value, `"`))
		}
	}
	if n.name == "" || n.address == "" || n.port == "" || len(n.options) == 0 {
		return n, errors.New("a setting is missing in ejabberdctl.cfg")
	}
	return n, nil
}

// arguments are those of erl, as ejabberdctl gives them.
func (n *erlangNode) arguments(name string) []string {
	return append([]string{
		"-noinput", "+sbwt", "none", "+S", "2:2", "-name", name, "-erl_epmd_port", n.port, "-start_epmd", "false",
		"-kernel", "inet_dist_use_interface", "{" + strings.ReplaceAll(n.address, ".", ",") + "}",
	}, n.options...)
}

// AddTeam makes accounts for people, and puts everyone in everyone's contact list,
// subscribed both ways, under the group's name; nobody where there is no group.
func (c *Cluster) AddTeam(ctx context.Context, group string, people ...Person) error {
	encode := base64.StdEncoding.EncodeToString
	var b strings.Builder
	for _, p := range people {
		salt, stored, server, err := scram(p.Password)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "INSERT INTO users(username, server_host, password, serverkey, salt, iterationcount) VALUES (%s,%s,%s,%s,%s,%d);\n",
			quote(p.Name), quote(hospital), quote("sha256:"+encode(stored)), quote(encode(server)), quote(encode([]byte(salt))), iterations)
		for _, other := range people {
			if other == p || group == "" {
				continue
			}
			address := quote(c.Address(other))
			fmt.Fprintf(&b, "INSERT INTO rosterusers(username, server_host, jid, nick, subscription, ask, askmessage, server, subscribe, type) VALUES (%s,%s,%s,%s,'B','N','','N','','item');\n",
				quote(p.Name), quote(hospital), address, quote(other.Display))
			fmt.Fprintf(&b, "INSERT INTO rostergroups(username, server_host, jid, grp) VALUES (%s,%s,%s,%s);\n", quote(p.Name), quote(hospital), address, quote(group))
		}
	}
	_, err := c.db.query(ctx, "ejabberd", b.String())
	return err
}

// Address returns a person's bare address.
func (c *Cluster) Address(p Person) string { return p.Name + "@" + c.Domain }

// Stop stops both nodes and the database.
func (c *Cluster) Stop() {
	for _, s := range c.Nodes {
		if s != nil {
			s.Stop()
		}
	}
	c.db.Stop()
	c.remove()
}

// Log returns the last lines of what each node wrote.
func (c *Cluster) Log(lines int) string {
	var b strings.Builder
	for _, s := range c.Nodes {
		if s != nil {
			b.WriteString(s.Log(lines))
		}
	}
	return b.String()
}
