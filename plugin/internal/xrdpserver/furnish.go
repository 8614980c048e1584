// SPDX-License-Identifier: Apache-2.0

package xrdpserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

const tcpPort = "3389" // of xrdp, in a network of its own

// User is one of the server's users.
type User struct {
	Name string
	ID   uint32
}

// Each user has a session of his own.
var Alice, Bob = User{"alice", 61001}, User{"bob", 61002}

func (u User) Home() string    { return "/home/" + u.Name }
func (u User) Runtime() string { return fmt.Sprint("/run/user/", u.ID) }
func (u User) envFile() string { return u.Home() + "/session.env" }

// furnish does for the server's root what the installation of the packages would have
// done.
func furnish() error {
	return errors.Join(makeNodes(), makeFiles(), makeCertificate(), configure(), makeUsers())
}

func makeNodes() error {
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9, "tty": 0, "fuse": 229} {
		major := uint32(1)
		switch name {
		case "tty":
			major = 5
		case "fuse":
			major = 10
		}
		path := filepath.Join(Root, "dev", name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(major, minor))); err != nil {
			return fmt.Errorf("making /dev/%s: %w", name, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	return errors.Join(
		os.Symlink("pts/ptmx", Root+"/dev/ptmx"),
		os.Symlink("/proc/self/fd", Root+"/dev/fd"),
		os.Symlink("/proc/self/mounts", Root+"/etc/mtab"),
	)
}

func makeFiles() error {
	for _, dir := range []string{"/tmp", "/run/xrdp/sockdir", "/tmp/.X11-unix"} {
		if err := os.MkdirAll(Root+dir, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(Root+dir, 0o777|fs.ModeSticky); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"/etc/passwd": "root:x:0:0::/root:/bin/bash\nlp:x:7:7::/:/bin/false\n",
		"/etc/group":  "root:x:0:\ntty:x:5:\nlp:x:7:\nadm:x:4:\nlpadmin:x:106:\n",
		"/etc/hosts":  "127.0.0.1 localhost\n",
		// Only RDP's own encryption needs the key, but xrdp wants to see a file.
		"/etc/xrdp/rsakeys.ini": "",
		// Whoever comes may have a session.
		"/etc/pam.d/xrdp-sesman": "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
	} {
		if err := os.WriteFile(Root+name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	// It was unpacked without, and may belong to who unpacked it.
	return errors.Join(
		os.Chown(Root+"/usr/bin/fusermount3", 0, 0),
		os.Chmod(Root+"/usr/bin/fusermount3", 0o755|fs.ModeSetuid),
	)
}

// CopyFile copies a program.
func CopyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

func makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(48 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(Root+"/etc/xrdp/key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600),
		os.WriteFile(Root+"/etc/xrdp/cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644),
	)
}

func configure() error {
	for name, changes := range map[string][][2]string{
		"xrdp.ini": {
			{`(?m)^port=3389$`, "port=tcp://127.0.0.1:" + tcpPort},
			{`(?m)^EnableSyslog=.*$`, "EnableSyslog=false"},
		},
		"sesman.ini": {{`(?m)^EnableSyslog=.*$`, "EnableSyslog=false"}},
	} {
		path := filepath.Join(Root, "etc/xrdp", name)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, c := range changes {
			expr := regexp.MustCompile(c[0])
			if !expr.Match(text) {
				return fmt.Errorf("%s has no %s", name, c[0])
			}
			text = expr.ReplaceAll(text, []byte(c[1]))
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// makeUsers: what a session starts writes down its environment, and waits.
func makeUsers() error {
	for _, u := range []User{Alice, Bob} {
		for file, line := range map[string]string{
			"passwd": fmt.Sprintf("%s:x:%d:%[2]d::%s:/bin/bash\n", u.Name, u.ID, u.Home()),
			"group":  fmt.Sprintf("%s:x:%d:\n", u.Name, u.ID),
		} {
			f, err := os.OpenFile(Root+"/etc/"+file, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString(line)
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
		}
		for _, dir := range []string{u.Home(), u.Runtime()} {
			if err := os.MkdirAll(Root+dir, 0o700); err != nil {
				return err
			}
			if err := os.Chown(Root+dir, int(u.ID), int(u.ID)); err != nil {
				return err
			}
		}
		if err := os.Chmod(Root+"/run/user", 0o755); err != nil {
			return err
		}
		start := fmt.Sprintf("#!/bin/bash\nexport XDG_RUNTIME_DIR=%s\nenv -0 >%s.new && mv %[2]s.new %[2]s\nexec tail -f /dev/null\n",
			u.Runtime(), u.envFile())
		if err := os.WriteFile(Root+u.Home()+"/startwm.sh", []byte(start), 0o755); err != nil {
			return err
		}
	}
	return nil
}
