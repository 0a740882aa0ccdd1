// loopback gives a mesh addresses of its own on the loopback interface: the first free 10.77.N.0/24, of which it
// prints the first address. They go when its stdin ends, however whoever started it has ended.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/vishvananda/netlink"
)

func main() {
	// Ctrl-C reaches every process of a terminal; this one must live until there is nothing left to give back.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	// In a new network namespace it is down.
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	for n := range 256 {
		// On this interface, all addresses of a network are the machine's own once one of them is.
		address, err := netlink.ParseAddr(fmt.Sprintf("10.77.%d.1/24", n))
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(lo, address); errors.Is(err, syscall.EEXIST) {
			continue
		} else if err != nil {
			return err
		}
		fmt.Println(address.IP)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return netlink.AddrDel(lo, address)
	}
	return errors.New("all of 10.77.0.0/16 is taken")
}
