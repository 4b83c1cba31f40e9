"""A RabbitMQ of a test's own: a node name, ports, a data directory and an epmd of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile

from agent_world import wait_for

BROKER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
START_SECONDS_MAX = 90


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Authority:
    """An authority of its own, with a certificate for localhost: authority(), certificate() and key() are files."""

    def __init__(self, directory):
        self.directory = directory
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self.openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=gantry test authority", "-keyout", "ca.key",
                     "-out", "ca.pem")
        with open(self.file("names"), "w") as names:
            names.write("subjectAltName=DNS:localhost\n")
        self.openssl("req", *curve, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request")
        self.openssl("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                     "1", "-extfile", "names", "-out", "cert.pem")

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.directory, check=True, capture_output=True, timeout=60)

    def file(self, name):
        return os.path.join(self.directory, name)


class Broker:
    """A RabbitMQ of its own; start(), kill() and signal() as often as wanted, always on the same port and data. With
    tls=True it speaks nothing but TLS."""

    def __init__(self, tls=False):
        self.directory = tempfile.mkdtemp(prefix="gantry-rabbit-")
        self.port, distribution, self.epmd = free_ports(3)
        settings = f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
        self.authority = Authority(self.directory) if tls else None
        if tls:
            settings = (f"listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{self.port}\n"
                        f"ssl_options.cacertfile = {self.authority.file('ca.pem')}\n"
                        f"ssl_options.certfile = {self.authority.file('cert.pem')}\n"
                        f"ssl_options.keyfile = {self.authority.file('key.pem')}\n")
        with open(os.path.join(self.directory, "rabbitmq.conf"), "w") as file:
            file.write(settings + "log.console = true\n")
        open(os.path.join(self.directory, "plugins"), "w").write("[].\n")
        self.environment = dict(
            os.environ, HOME=self.directory, RABBITMQ_CONF_ENV_FILE="/dev/null", ERL_EPMD_PORT=str(self.epmd),
            ERL_EPMD_ADDRESS="127.0.0.1", RABBITMQ_NODENAME=f"gantry-{self.port}@localhost",
            RABBITMQ_DIST_PORT=str(distribution),
            RABBITMQ_CONFIG_FILE=os.path.join(self.directory, "rabbitmq"),
            RABBITMQ_MNESIA_BASE=os.path.join(self.directory, "data"),
            RABBITMQ_LOG_BASE=os.path.join(self.directory, "log"), RABBITMQ_LOGS="-",
            RABBITMQ_ENABLED_PLUGINS_FILE=os.path.join(self.directory, "plugins"),
            RABBITMQ_PID_FILE=os.path.join(self.directory, "pid"))
        self.url = f"amqps://guest:guest@localhost:{self.port}" if tls else f"amqp://guest:guest@127.0.0.1:{self.port}"
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        self.kill()
        epmd = shutil.which("epmd")
        if epmd:
            subprocess.run([epmd, "-port", str(self.epmd), "-kill"], capture_output=True, timeout=10, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, wait=True):
        with open(os.path.join(self.directory, "console"), "ab") as console:
            self.process = subprocess.Popen([BROKER], env=self.environment, cwd=self.directory, stdin=subprocess.DEVNULL,
                                            stdout=console, stderr=console, start_new_session=True)
        if wait:
            wait_for(self.answers, START_SECONDS_MAX, "RabbitMQ listens")

    def answers(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.directory, "console"), errors="replace") as file:
                print("".join("    | " + line for line in file.readlines()[-30:]))
            raise AssertionError(f"RabbitMQ ended with {self.process.returncode}")
        return self.listens()

    def listens(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            return False

    def signal(self, number):
        os.killpg(self.process.pid, number)  # the process group that start() has made

    def kill(self):
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            wait_for(lambda: not self.listens(), 10, "the killed broker is gone")
