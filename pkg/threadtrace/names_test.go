package threadtrace

import "testing"

func TestNames(t *testing.T) {
	cases := []struct {
		arch   string
		number int32
		name   string
	}{
		{ArchAMD64, 0, "read"},
		{ArchAMD64, 232, "epoll_wait"},
		{ArchAMD64, 202, "futex"},
		{ArchAMD64, 75, "fdatasync"},
		{ArchAMD64, 435, "clone3"},
		{ArchARM64, 63, "read"},
		{ArchARM64, 22, "epoll_pwait"},
		{ArchARM64, 98, "futex"},
		{ArchAMD64, 400, "syscall_400"},
		{ArchAMD64, 99999, "syscall_99999"},
		{"mips", 4, "syscall_4"},
		{ArchAMD64, NoCall, ""},
		{ArchAMD64, -7, "syscall_-7"},
	}
	for _, c := range cases {
		if got := Name(c.arch, c.number); got != c.name {
			t.Errorf("Name(%s, %d) = %q, want %q", c.arch, c.number, got, c.name)
		}
		if got, ok := Number(c.arch, c.name); !ok || got != c.number {
			t.Errorf("Number(%s, %q) = %d, %v; want %d", c.arch, c.name, got, ok, c.number)
		}
	}
	for _, name := range []string{"epoll_weight", "syscall_", "syscall_x"} {
		if n, ok := Number(ArchAMD64, name); ok {
			t.Errorf("Number(%q) = %d", name, n)
		}
	}
}

func TestErrnoName(t *testing.T) {
	for errno, want := range map[int32]string{
		0: "", 11: "EAGAIN", -11: "EAGAIN", 95: "EOPNOTSUPP", 110: "ETIMEDOUT", -512: "ERESTARTSYS",
		24: "EMFILE", 133: "EHWPOISON", 134: "errno_134", -4096: "errno_-4096",
	} {
		if got := ErrnoName(errno); got != want {
			t.Errorf("ErrnoName(%d) = %q, want %q", errno, got, want)
		}
	}
}
