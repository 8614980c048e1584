// SPDX-License-Identifier: Apache-2.0

package cups

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// user is a user of this machine.
type user struct {
	name     string
	uid, gid int
}

// lookUp asks for a user by name or number. The users of a domain are in no file, and this
// program has no C in it that knows of them: libc's own program does.
func lookUp(ctx context.Context, key string) (user, error) {
	out, err := exec.CommandContext(ctx, "getent", "passwd", key).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() == 2 {
		return user{}, fmt.Errorf("there is no user %s", key)
	}
	if err != nil {
		return user{}, fmt.Errorf("looking for the user %s: %w", key, err)
	}
	return entry(string(out))
}

// entry reads a line of passwd(5).
func entry(line string) (u user, err error) {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), ":")
	if len(fields) != 7 {
		return user{}, fmt.Errorf("looking for a user: getent says %q", line)
	}
	u.name = fields[0]
	for _, n := range []struct {
		to   *int
		text string
	}{{&u.uid, fields[2]}, {&u.gid, fields[3]}} {
		v, err := strconv.ParseUint(n.text, 10, 32)
		// The last number means "unchanged" to the kernel.
		if err != nil || v == 1<<32-1 {
			return user{}, fmt.Errorf("looking for a user: getent says %q", line)
		}
		*n.to = int(v)
	}
	return u, nil
}

// byName asks for a user by the name in a device URI.
func byName(ctx context.Context, name string) (user, error) {
	u, err := lookUp(ctx, name)
	// getent takes a number, too.
	if err == nil && !strings.EqualFold(u.name, name) {
		err = fmt.Errorf("there is no user %s", name)
	}
	return u, err
}

// become makes this process one of the user's, for good.
func (u user) become() error {
	switch os.Geteuid() {
	case u.uid:
		return nil
	case 0:
	default:
		return errors.New("CUPS does not run the backend as root: its file has to belong to root and have the mode 0700")
	}
	if err := errors.Join(
		os.Chdir("/"),
		syscall.Setgroups(nil),
		syscall.Setresgid(u.gid, u.gid, u.gid),
		syscall.Setresuid(u.uid, u.uid, u.uid),
	); err != nil {
		return fmt.Errorf("becoming the user %s: %w", u.name, err)
	}
	return nil
}

// ownsFolder reports whether dir is a folder of the user's, and no link.
func (u user) ownsFolder(dir string) bool {
	var st unix.Stat_t
	err := unix.Lstat(dir, &st)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && uint64(st.Uid) == uint64(u.uid)
}
