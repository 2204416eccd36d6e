package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process identifies a process beyond the reuse of its number.
type Process struct {
	PID int `json:"pid"`
	// StartTime is the process's start in clock ticks since boot.
	StartTime uint64 `json:"start_time"`
	// Boot is the boot the start time counts from.
	Boot string `json:"boot"`
	// Fingerprint stands for the program, its arguments and the files it reads at start.
	Fingerprint string `json:"fingerprint"`
}

// Alive tells whether exactly this process still runs.
func (p Process) Alive() bool {
	if p.PID <= 0 {
		return false
	}
	state, start, err := processStat(p.PID)
	return err == nil && state != "Z" && state != "X" && start == p.StartTime && p.Boot == bootID()
}

// Signal sends a signal to exactly this process.
func (p Process) Signal(signal syscall.Signal) {
	if p.Alive() {
		_ = syscall.Kill(p.PID, signal)
	}
}

// Stop ends the process: at once with kill, else politely, and by force after the grace period.
func (p Process) Stop(kill bool, grace time.Duration) error {
	if kill {
		p.Signal(syscall.SIGKILL)
	} else {
		p.Signal(syscall.SIGTERM)
		if p.waitGone(grace) {
			return nil
		}
		p.Signal(syscall.SIGKILL)
	}
	if !p.waitGone(5 * time.Second) {
		return fmt.Errorf("process %d does not end", p.PID)
	}
	return nil
}

func (p Process) waitGone(timeout time.Duration) bool {
	for end := time.Now().Add(timeout); p.Alive(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// spawn starts this program as a detached process writing to a log file.
func spawn(program string, args []string, environment []string, logFile string) (Process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return Process{}, err
	}
	defer log.Close()
	command := exec.Command(program, args...)
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), environment...)
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return Process{}, err
	}
	// Collects the process should it end while this command still runs.
	go func() { _ = command.Wait() }()
	_, start, err := processStat(command.Process.Pid)
	if err != nil {
		return Process{}, errors.New("it ended at once")
	}
	return Process{PID: command.Process.Pid, StartTime: start, Boot: bootID()}, nil
}

// processStat reads the state letter and the start time from /proc.
func processStat(pid int) (state string, start uint64, err error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", 0, err
	}
	// The second field, the command in brackets, may hold blanks and brackets itself.
	end := bytes.LastIndexByte(data, ')')
	if end < 0 {
		return "", 0, errors.New("unexpected form of /proc/PID/stat")
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 20 {
		return "", 0, errors.New("unexpected form of /proc/PID/stat")
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0], start, err
}

func bootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}

// tail returns the last lines of a file.
func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
