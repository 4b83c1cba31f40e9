#!/usr/bin/env python3
"""Where a task's image comes from: a registry with passwords, a mirror, another task's artifact, on a real engine.

Starts a docker-registry of its own on a free port (Debian: docker-registry, apache2-utils); Docker speaks http to those
on this machine.
"""

import contextlib
import hashlib
import io
import shutil
import signal
import subprocess
import tarfile
import threading

from agent_world import *

USER, PASSWORD = "tester", "a-password-nobody-guesses"
MADE = "gantry-test-images"  # prefix of every name that this test gives an image


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def engine_call(method, target, body=None, headers=None, timeout=120):
    connection = UnixConnection(DEFAULT_SOCKET, timeout)
    try:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def has_image(name):
    return engine_call("GET", f"/images/{name}/json")[0] == 200


def image_id(name):
    return json.loads(engine_call("GET", f"/images/{name}/json")[1])["Id"]


def remove_image(name):
    engine_call("DELETE", f"/images/{name}?force=1")


def tag_image(source, name):
    repository, tag = name.rsplit(":", 1)
    status, answer = engine_call("POST", f"/images/{source}/tag?repo={repository}&tag={tag}")
    expect_equal(status, 201, f"tag {name}: {answer}")


def task_image(task, path):
    return hashlib.md5((task + path).encode()).hexdigest() + ":latest"


class Registry:
    """With htpasswd if `closed`."""

    def __init__(self, closed=True):
        self.closed = closed

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="gantry-registry-")
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        auth = ""
        if self.closed:
            table = subprocess.run(["htpasswd", "-Bbn", USER, PASSWORD], check=True, capture_output=True).stdout
            with open(os.path.join(self.directory, "htpasswd"), "wb") as file:
                file.write(table)
            auth = f"auth: {{htpasswd: {{realm: test, path: {self.directory}/htpasswd}}}}\n"
        config = os.path.join(self.directory, "config.yml")
        with open(config, "w") as file:
            file.write("version: 0.1\nlog: {level: error}\n"
                       f"storage: {{filesystem: {{rootdirectory: {self.directory}/data}}}}\n"
                       f"http: {{addr: '127.0.0.1:{self.port}'}}\n" + auth)
        with open(os.path.join(self.directory, "messages"), "wb") as messages:
            self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=messages, stderr=messages)
        wait_for(self.answers, 20, "the registry answers")
        return self

    def answers(self):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.directory, ignore_errors=True)

    def push(self, name, source=IMAGE):
        """Makes the image one of the registry, and not of the engine."""
        full = f"{self.host}/{name}"
        tag_image(source, full)
        login = {"username": USER, "password": PASSWORD, "serveraddress": self.host}
        header = base64.urlsafe_b64encode(json.dumps(login).encode()).decode()
        repository, tag = full.rsplit(":", 1)
        status, answer = engine_call("POST", f"/images/{repository}/push?tag={tag}", headers={"X-Registry-Auth": header})
        expect(status == 200 and b'"error"' not in answer, f"push {full}: {answer}")
        remove_image(full)
        return full


@contextlib.contextmanager
def dev_with(registries, mode=0o600):
    with tempfile.TemporaryDirectory(prefix="gantry-registries-") as directory:
        path = os.path.join(directory, "registries.json")
        with open(path, "w") as file:
            json.dump(registries, file)
        os.chmod(path, mode)
        with Dev(arguments=["--registries", path]) as dev:
            yield dev


def expect_failed(dev, task, *lines):
    ended = dev.wait_resolved(task)
    expect_equal((run_of(ended, 0)["reason"], len(ended["runs"])), ("failed", 1), dev.log(task).decode())
    log = dev.log(task).decode()
    for line in lines:
        expect(line in log, f"the log says {line!r}: {log}")
    return log


def expect_no_password(dev, *tasks):
    with open(os.path.join(dev.directory, "messages")) as file:
        texts = [file.read()] + [dev.log(task).decode() for task in tasks]
    with open(f"/proc/{dev.process.pid}/cmdline") as file:
        texts.append(file.read())
    for text in texts:
        expect(PASSWORD not in text, "no password is told")


def test_a_registry_with_passwords():
    with Registry() as registry:
        name = registry.push("team/app:1")
        scope = f"docker-worker:image:{registry.host}/team/*"
        with dev_with({f"{registry.host}/team": {"username": USER, "password": PASSWORD}}) as dev:
            poor = dev.create("true", image=name)
            expect_failed(dev, poor, f"Not authorized to use image {name}", f"docker-worker:image:{name}")
            expect(not has_image(name), "nothing was pulled")
            rich = dev.create("echo", "it runs", image=name, scopes=[scope])
            expect_equal(dev.wait_resolved(rich)["state"], "completed", dev.log(rich).decode())
            log = dev.log(rich).decode()
            for line in (f"Pulling image {name}", f"Pulled image {name}: ", f"Image '{name}' is sha256:", "it runs"):
                expect(line in log, f"the log says {line!r}: {log}")
            late = dev.create("true", image=name)
            expect_failed(dev, late, f"Not authorized to use image {name}")
            missing = dev.create("true", image=f"{registry.host}/team/none:1", scopes=[scope])
            expect_failed(dev, missing, f"image {registry.host}/team/none:1 not found")
            digest = json.loads(engine_call("GET", f"/images/{name}/json")[1])["RepoDigests"][0]
            remove_image(name)
            by_digest = dev.create("true", image=digest, scopes=[scope])
            expect_equal(dev.wait_resolved(by_digest)["state"], "completed", dev.log(by_digest).decode())
            expect_no_password(dev, poor, rich, late, missing)
            dev.expect_nothing_left()
        remove_image(digest)


def test_a_wrong_password_and_none():
    with Registry() as registry:
        name = registry.push("team/app:1")
        with dev_with({registry.host: {"username": USER, "password": "wrong"}}) as dev:
            task = dev.create("true", image=name, scopes=["docker-worker:image:*"])
            expect_failed(dev, task, "unauthorized", f"image {name} not found")
        with dev_with({"elsewhere.example": {"username": USER, "password": PASSWORD}}) as dev:
            task = dev.create("true", image=name)
            expect_failed(dev, task, "unauthorized")
        expect(not has_image(name), "nothing was pulled")


def test_a_mirror():
    with Registry(closed=False) as registry:
        registry.push(f"library/{MADE}-mirrored:1")
        nowhere = free_port()
        with dev_with({"mirrors": {"docker.io": [f"http://127.0.0.1:{nowhere}", f"http://{registry.host}"]}}) as dev:
            name = f"{MADE}-mirrored:1"
            task = dev.create("echo", "from the mirror", image=name)
            expect_equal(dev.wait_resolved(task)["state"], "completed", dev.log(task).decode())
            expect(b"came from the mirror" in dev.log(task), dev.log(task).decode())
            expect(has_image(name) and not has_image(f"{registry.host}/library/{name}"), "under the asked name alone")
        remove_image(name)


def test_a_file_that_others_may_read_is_refused():
    try:
        with dev_with({}, mode=0o644):
            expect(False, "it started")
    except AssertionError as error:
        expect("ended with" in str(error), str(error))


def saved_image(name=IMAGE):
    status, archive = engine_call("GET", f"/images/{name}/get")
    expect_equal(status, 200, "docker save")
    return archive


class Upload:
    """A task that has these artifacts: its container reads them from this test's own web server."""

    def __init__(self, dev, files):
        self.dev, self.files = dev, files

    def make(self, **definition):
        """The files are put in by the API, as any client may: the task only has to run meanwhile."""
        dev = self.dev
        task = dev.shell("while [ ! -e /done ]; do sleep 0.1; done", **definition)
        container = dev.wait_running(task)
        for name, content in self.files.items():
            self.upload(task, name, content)
        exec_id = json.loads(engine_call("POST", f"/containers/{container}/exec", json.dumps({"Cmd": ["touch", "/done"]}),
                                         {"Content-Type": "application/json"})[1])["Id"]
        engine_call("POST", f"/exec/{exec_id}/start", '{"Detach": true}', {"Content-Type": "application/json"})
        expect_equal(dev.wait_resolved(task)["state"], "completed", "the task with the artifacts")
        return task

    def upload(self, task, name, content):
        later = stamp(datetime.now(timezone.utc) + timedelta(minutes=30))
        answer = json.loads(self.dev.call(
            "POST", f"/api/queue/v1/task/{task}/runs/0/artifacts/{urllib.parse.quote(name, safe='')}",
            {"storageType": "s3", "expires": later, "contentType": "application/x-tar", "contentLength": len(content)}))
        url = urllib.parse.urlsplit(answer["putUrl"])
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
        connection.request("PUT", f"{url.path}?{url.query}", content, {"Content-Type": "application/x-tar"})
        answer = connection.getresponse()
        expect(answer.status < 300, f"upload of {name}: {answer.status} {answer.read()}")


def compressed(tool, content):
    return subprocess.run([tool, "-c"], input=content, capture_output=True, check=True).stdout


def image_of(task, path):
    return {"type": "task-image", "taskId": task, "path": path}


def test_an_image_made_by_a_task_in_every_format():
    archive = saved_image()
    files = {"public/image.tar": archive, "public/image.tar.gz": compressed("gzip", archive),
             "public/image.tar.zst": compressed("zstd", archive), "public/image.tar.lz4": compressed("lz4", archive)}
    with Dev() as dev:
        made = Upload(dev, files).make()
        try:
            for path, content in files.items():
                task = dev.create("echo", "it runs", image=image_of(made, path))
                expect_equal(dev.wait_resolved(task)["state"], "completed", dev.log(task).decode())
                expect(f"Loaded image {path} of task {made}: " in dev.log(task).decode(), dev.log(task).decode())
                expect(has_image(task_image(made, path)), "it has a name of its own")
                with open(os.path.join(dev.directory, "agent/images.json")) as file:
                    sums = {image["reference"]: image["archiveSha256"] for image in json.load(file)["images"]}
                expect_equal(sums[task_image(made, path)], hashlib.sha256(content).hexdigest())
            again = dev.create("true", image=image_of(made, "public/image.tar"))
            expect_equal(dev.wait_resolved(again)["state"], "completed")
            expect(b"Loading image" not in dev.log(again), "once is enough")
            # By the engine's name for it nobody gets it.
            by_name = dev.create("true", image=task_image(made, "public/image.tar"))
            expect_failed(dev, by_name, "Not authorized to use image")
            expect_equal(os.listdir(os.path.join(dev.directory, "agent/image-spool")), [])
            dev.expect_nothing_left()
        finally:
            for path in files:
                remove_image(task_image(made, path))


def test_the_example():
    with Dev() as dev:
        environment = dict(os.environ, GANTRY=GANTRY, GANTRY_DATA_DIR=dev.directory)
        done = subprocess.run([os.path.join(ROOT, "examples/image-from-task/run.sh")], env=environment, text=True,
                              capture_output=True, timeout=120)
        for task in re.findall(r"image.tar.gz of task (\S+):", done.stdout):
            remove_image(task_image(task, "public/image.tar.gz"))
        expect("made by a task" in done.stdout, done.stdout + done.stderr)


def test_an_image_from_the_index():
    with Dev() as dev:
        made = Upload(dev, {"public/image.tar": saved_image()}).make()
        later = stamp(datetime.now(timezone.utc) + timedelta(minutes=30))
        dev.call("PUT", "/api/index/v1/task/images.test", {"taskId": made, "rank": 0, "data": {}, "expires": later})
        try:
            image = {"type": "indexed-image", "namespace": "images.test", "path": "public/image.tar"}
            find = ["index:find-task:images.*"]
            task = dev.create("true", image=image, scopes=find)
            expect_equal(dev.wait_resolved(task)["state"], "completed", dev.log(task).decode())
            expect_failed(dev, dev.create("true", image=image), "index:find-task:images.test")
            task = dev.create("true", image=dict(image, namespace="images.none"), scopes=find)
            expect_failed(dev, task, "Could not find a task associated")
        finally:
            remove_image(task_image(made, "public/image.tar"))


def test_a_private_artifact_needs_its_scope():
    path = "private/image.tar"
    scope = f"queue:get-artifact:{path}"
    with Dev() as dev:
        made = Upload(dev, {path: saved_image()}).make()
        try:
            poor = dev.create("true", image=image_of(made, path))
            expect_failed(dev, poor, "Could not download artifact", scope)
            rich = dev.create("true", image=image_of(made, path), scopes=[scope])
            expect_equal(dev.wait_resolved(rich)["state"], "completed", dev.log(rich).decode())
            poor = dev.create("true", image=image_of(made, path))
            expect_failed(dev, poor, "Could not download artifact", scope)
        finally:
            remove_image(task_image(made, path))


def retagged(archive, names, images=1):
    """The archive with other names in manifest.json and repositories, and its image more than once."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as source, tarfile.open(fileobj=out, mode="w") as target:
        for member in source:
            content = source.extractfile(member).read() if member.isreg() else b""
            if member.name == "manifest.json":
                content = json.dumps([dict(json.loads(content)[0], RepoTags=names)] * images).encode()
            if member.name == "repositories":
                content = json.dumps({name.rsplit(":", 1)[0]: {name.rsplit(":", 1)[1]: "0" * 64} for name in names}).encode()
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return out.getvalue()


def test_an_archive_cannot_take_another_images_name():
    # Another image under the victim's name.
    victim = f"{MADE}-victim:1"
    engine_call("POST", f"/images/create?fromSrc=-&repo={MADE}-victim&tag=1", io.BytesIO(tar_with("x", b"victim")).getvalue(),
                {"Content-Type": "application/x-tar"})
    before = image_id(victim)
    archive = saved_image()
    files = {"public/poison.tar": retagged(archive, [victim]), "public/two.tar": retagged(archive, [victim], images=2),
             "public/cut.tar": archive[:len(archive) // 2], "public/none.tar": tar_with("x", b"no image"),
             "public/lie.tar.gz": archive}
    with Dev() as dev:
        made = Upload(dev, files).make()
        try:
            task = dev.create("true", image=image_of(made, "public/poison.tar"))
            expect_equal(dev.wait_resolved(task)["state"], "completed", dev.log(task).decode())
            expect_equal(image_id(victim), before, "the victim is what it was")
            for path, line in {"public/two.tar": "it holds 2 images", "public/cut.tar": "ends inside",
                               "public/none.tar": "it has no manifest.json",
                               "public/lie.tar.gz": "its bytes are tar, and its name says gzip",
                               "public/nowhere.tar": f'Could not download artifact "public/nowhere.tar" of task {made}',
                               }.items():
                expect_failed(dev, dev.create("true", image=image_of(made, path)), line, "Could not download artifact")
            expect_equal(image_id(victim), before, "the victim is what it was")
            expect_equal(os.listdir(os.path.join(dev.directory, "agent/image-spool")), [])
            dev.expect_nothing_left()
        finally:
            remove_image(victim)
            remove_image(task_image(made, "public/poison.tar"))


def tar_with(name, content):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def test_eight_tasks_wait_for_one_pull():
    with Registry(closed=False) as registry:
        name = registry.push("team/shared:1")
        with Dev(slots=8) as dev:
            tasks = [dev.create("true", image=name) for _ in range(8)]
            for task in tasks:
                expect_equal(dev.wait_resolved(task)["state"], "completed", dev.log(task).decode())
            with open(os.path.join(dev.directory, "messages")) as file:
                expect_equal(file.read().count(f"Pulled image {name}"), 1)
            dev.expect_nothing_left()
        remove_image(name)


def test_a_kill_in_the_middle_of_a_load_leaves_no_spool():
    with Dev() as dev:
        # Large enough that it is still on its way when the agent is killed.
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as target:
            member = tarfile.TarInfo("filler")
            member.size = 300 * (1 << 20)
            target.addfile(member, io.BytesIO(bytes(member.size)))
        archive = out.getvalue()
        made = Upload(dev, {"public/image.tar": archive}).make()
        task = dev.create("true", image=image_of(made, "public/image.tar"))
        spool = os.path.join(dev.directory, "agent/image-spool")

        def spooling():
            # The file has no name any more: only the process still holds it.
            for descriptor in os.listdir(f"/proc/{dev.process.pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{dev.process.pid}/fd/{descriptor}").startswith(spool):
                        return True
        wait_for(spooling, 60, "the archive is being spooled")
        dev.kill()
        expect_equal(os.listdir(spool), [], "nothing is left of it")
        with open(os.path.join(spool, "from-an-older-crash"), "w") as file:
            file.write("x")
        dev.start()
        wait_for(lambda: os.listdir(spool) == [], 20, "the folder is cleared at the start")
        dev.cancel(task)


if __name__ == "__main__":
    for program in ("docker-registry", "htpasswd", "zstd", "lz4"):
        if not shutil.which(program):
            print(f"{program} is missing: run scripts/lib/install.sh test")
            sys.exit(77)
    run_tests(globals())
