package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

const (
	slapdPeople   = 5000
	slapdStaff    = 400 // the first of them
	slapdPassword = "winter"
	slapdGroupDN  = "cn=staff,ou=groups,dc=example,dc=org"
	slapdPeopleDN = "ou=people,dc=example,dc=org"
)

// startSlapd starts a directory in which staff look people up. Who may read of
// people is told by a group.
func startSlapd(ctx context.Context, fault func(ctx context.Context, s *server.Server) (func(), error)) (Workload, error) {
	s, err := server.StartSlapd(ctx, slapdEntries(), fmt.Sprintf(`access to dn.subtree=%q by self write by group.exact=%q read by * none`, slapdPeopleDN, slapdGroupDN))
	if err != nil {
		return Workload{}, err
	}
	var staff atomic.Int64
	return Workload{
		Server: s,
		Load: load.Config{
			Workers: 12,
			Rate:    800,
			Dial: func() (load.Client, error) {
				c, err := client.DialLDAP(s.Addr)
				if err != nil {
					return nil, err
				}
				self := int(staff.Add(1)) % slapdStaff
				return slapdStaffMember{c, self}, c.Bind(slapdPerson(self), slapdPassword)
			},
		},
		Fault: func(ctx context.Context) (func(), error) { return fault(ctx, s) },
	}, nil
}

func slapdPerson(i int) string { return fmt.Sprintf("uid=%06d,%s", i, slapdPeopleDN) }

// slapdEntry is a person as an address book has one.
func slapdEntry(i int) string {
	return fmt.Sprintf(`dn: %s
objectClass: inetOrgPerson
uid: %06d
cn: Person %d
sn: Number %d
mail: person%d@example.org
telephoneNumber: +1 555 %06d
title: Clerk of the %dth floor
userPassword: %s

`, slapdPerson(i), i, i, i, i, i, i%40, slapdPassword)
}

// slapdEntries are people and the group of staff.
func slapdEntries() string {
	var b strings.Builder
	b.WriteString(`dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

`)
	for i := range slapdPeople {
		b.WriteString(slapdEntry(i))
	}
	fmt.Fprintf(&b, "dn: %s\nobjectClass: groupOfNames\ncn: staff\n", slapdGroupDN)
	for i := range slapdStaff {
		b.WriteString("member: " + slapdPerson(i) + "\n")
	}
	return b.String()
}

// slapdStaffMember is a program through which staff use the directory.
type slapdStaffMember struct {
	*client.LDAP
	self int
}

func (c slapdStaffMember) Request(r *rand.Rand) error {
	of := r.IntN(slapdPeople)
	switch n := r.IntN(200); {
	case n < 140:
		_, err := c.Find(slapdPeopleDN, "uid", fmt.Sprintf("%06d", of), "cn", "mail", "telephoneNumber")
		return err
	case n < 170:
		_, err := c.Find(slapdPeopleDN, "cn", fmt.Sprintf("person %d", of))
		return err
	case n < 190:
		return c.Compare(slapdPerson(of), "mail", fmt.Sprintf("person%d@example.org", of))
	case n < 198:
		return c.Bind(slapdPerson(r.IntN(slapdStaff)), slapdPassword)
	}
	// It is logged in as one of the staff, and that one writes of itself.
	if err := c.Bind(slapdPerson(c.self), slapdPassword); err != nil {
		return err
	}
	return c.Replace(slapdPerson(c.self), "telephoneNumber", fmt.Sprintf("+1 555 %06d", r.IntN(1e6)))
}

// slapdGroup: an access rule with a group has the whole group read from the
// database for each operation, and its members compared one after the other.
func slapdGroup() Scenario {
	return Scenario{
		Name:   "slapd-group",
		Title:  "slapd reads a group of 60,000 members for each operation, since an access rule names it",
		Server: "slapd", Language: C, Kind: Computation, Source: Debian, Split: Report,
		Normal: "staff look people up in a directory of 5,000, log in, change their telephone numbers; a group of 400 may read",
		Fault:  "the feed of the personnel department now counts temporary workers and pensioners as staff: the group has 60,000 members, which one change brings",
		// https://www.openldap.org/doc/admin25/tuning.html and the mailing
		// list advise against large static groups in access rules;
		// servers/slapd/backend.c at 2.5.13: fe_acl_group, called by acl_mask
		// through backend_group, fetches the entry (mdb_entry_get, which
		// decodes all of its values into a new one) and has attr_valfind
		// compare the members, in their order. The answer is kept for the
		// rest of the operation only.
		Truth:    []string{"fe_acl_group", "backend_group"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			return startSlapd(ctx, func(_ context.Context, s *server.Server) (func(), error) {
				return func() {}, growStaff(s.Addr, 60_000)
			})
		},
	}
}

// growStaff gives the group members, of which those that it had are somewhere
// in between.
func growStaff(addr string, n int) error {
	c, err := client.DialLDAP(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Bind("cn=admin,dc=example,dc=org", "secret"); err != nil {
		return err
	}
	var members []string
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(n) {
		members = append(members, slapdPerson(i))
	}
	return c.Replace(slapdGroupDN, "member", members...)
}

// slapdImport: the database has one writer at a time, of all processes, and
// slapadd -q is one for 500 entries.
func slapdImport() Scenario {
	return Scenario{
		Name:   "slapd-import",
		Title:  "slapd waits for the database's only write lock, which an import holds",
		Server: "slapd", Language: C, Kind: Hang, Source: Debian, Split: Report,
		Normal: "staff look people up in a directory of 5,000, log in, which is written down, and change their telephone numbers",
		Fault:  "an administrator adds people from another directory with slapadd -q beside it, over a slow line: entries come at one per second, and it commits 500 at a time",
		// slapadd(8): "-q ... for back-mdb"; servers/slapd/back-mdb/tools.c at
		// 2.5.13: mdb_tool_entry_put begins a transaction and commits after
		// MDB_WRITES_PER_COMMIT; in slapd, mdb_modify (also for lastbind)
		// begins one in mdb_opinfo_get, and mdb_txn_begin waits for the lock
		// that both processes have in lock.mdb.
		Truth:    []string{"mdb_txn_begin", "mdb_opinfo_get", "mdb_modify"},
		Patterns: []string{"lock_wait", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			return startSlapd(ctx, func(ctx context.Context, s *server.Server) (func(), error) {
				return server.AddToSlapd(ctx, s, time.Second, func(i int) string { return slapdEntry(slapdPeople + i) })
			})
		},
	}
}
