"""A container engine of a test's own, which it may kill and restart: in a network namespace of its own, because two in one
fight over the bridge and the firewall. Needs root."""

import os
import shutil
import signal
import subprocess
import tempfile

from agent_world import Engine, wait_for


class Dockerd(Engine):
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="gantry-dockerd-")
        super().__init__(os.path.join(self.directory, "docker.sock"))
        # Keeps the network namespace while dockerd comes and goes.
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up; echo; exec sleep 3600"],
                                       stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.process = None

    def start(self):
        command = ["nsenter", "--net", "--target", str(self.holder.pid), "dockerd", "--host", f"unix://{self.path}",
                   "--data-root", os.path.join(self.directory, "data"), "--exec-root",
                   os.path.join(self.directory, "exec"), "--pidfile", os.path.join(self.directory, "pid")]
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for(self.answers, 60, "dockerd answers")
        except AssertionError:
            with open(os.path.join(self.directory, "log"), errors="replace") as log:
                print("".join("    | " + line for line in log.readlines()[-15:]))
            raise

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        """And its containerd: a dockerd that finds that of a killed one does not always come up. Containers run on."""
        self.process.kill()
        self.process.wait()
        folder = os.path.join(self.directory, "exec/containerd")
        try:
            with open(os.path.join(folder, "containerd.pid")) as file:
                containerd = int(file.read())
            with open(f"/proc/{containerd}/cmdline", "rb") as file:
                if self.directory.encode() in file.read():
                    os.kill(containerd, signal.SIGKILL)
                    wait_for(lambda: not os.path.exists(f"/proc/{containerd}"), 10, "containerd is gone")
        except OSError:
            pass
        for name in ("containerd.pid", "containerd.sock", "containerd.sock.ttrpc"):
            if os.path.exists(os.path.join(folder, name)):
                os.remove(os.path.join(folder, name))

    def terminate(self):
        self.process.terminate()
        self.process.wait(60)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()
        # What a killed dockerd has left: its containerd, and the shims of containers.
        for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    mine = self.directory.encode() in file.read()
                if mine and pid != os.getpid():
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.holder.kill()
        self.holder.wait()
        mounts = subprocess.run(["findmnt", "--list", "--noheadings", "--output", "TARGET"], capture_output=True,
                                text=True).stdout.splitlines()
        for mount in reversed(sorted(line.strip() for line in mounts if line.startswith(self.directory))):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)
