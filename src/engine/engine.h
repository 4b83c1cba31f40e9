// The container engine as agents see it. Nothing above engine/ knows that Docker exists (design 3.14). Every call has a
// deadline of its own and throws Error: not_found, conflict, unavailable (engine down or it hung), deadline_exceeded;
// unsupported if this engine cannot do such a thing at all. An error never holds a credential.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/async.h"
#include "net/http.h"

namespace gantry::engine {

/// A piece of a container's output.
struct Output {
  int stream = 1;     // 1: stdout, 2: stderr
  std::string bytes;  // empty at the end
};

/// A file's content and length.
struct OpenFile {
  std::shared_ptr<net::BodyReader> body;
  std::int64_t bytes = 0;
};

/// Output of a container as it comes. The order of the two streams is that of arrival; each stream alone is exact, so
/// whoever reads again from the start skips by stream.
class OutputStream {
 public:
  virtual ~OutputStream() = default;
  virtual Async<Output> read() = 0;
};

struct Limits {
  std::int64_t memory_bytes = 0;  // 0: none
  double cpus = 0;                // 0: none
  std::int64_t pids = 0;          // 0: none
};

/// Something of the machine that is seen inside a container.
struct Mount {
  enum class Type { volume, bind };
  Type type = Type::volume;
  std::string source;  // volume: its name, and it is made if it is not there; bind: an absolute path that is there
  std::string target;  // absolute path in the container
  bool read_only = false;
};

struct Device {
  std::string host_path;       // "/dev/kvm"
  std::string container_path;  // empty: the same
  std::string permissions = "rwm";
};

struct ContainerSpec {
  std::string name;                  // unique; [a-zA-Z0-9][a-zA-Z0-9_.-]*
  std::string image;                 // a reference or an image id
  std::vector<std::string> command;  // empty: the image's own
  std::vector<std::pair<std::string, std::string>> env;
  std::map<std::string, std::string> labels;
  Limits limits;
  std::string network;  // name of a network; empty: the engine's default
  bool init = true;     // a small init as process 1, so that signals reach shells
  std::vector<Mount> mounts = {};
  std::vector<Device> devices = {};
  std::vector<std::string> capabilities_add = {};  // "SYS_PTRACE"
  std::vector<std::string> capabilities_drop = {};
  bool privileged = false;                                            // all of the machine; may gain privileges too
  bool all_system_calls = false;                                      // no filter of system calls
  std::vector<std::pair<std::string, std::string>> extra_hosts = {};  // name, address
  std::int64_t shm_bytes = 0;                                         // of /dev/shm; 0: the engine's default
  std::string cpuset = {};                                            // "0-2,5"; empty: all
  bool tty = false;             // a terminal: one stream of output, with CRLF, as stream 1
  bool open_stdin = false;      // else the command reads the end at once
  std::int64_t disk_bytes = 0;  // what it may write of its own; 0: no limit. Throws unsupported where the engine cannot
  std::vector<std::string> entrypoint = {};  // empty: the image's own
  std::string working_directory = {};        // empty: the image's own
  std::string user = {};                     // name or id, and :group; empty: the image's own
  std::string network_of = {};               // id or name of a container whose network it shares; beats `network`
};

struct ContainerState {
  std::string id;
  bool running = false;
  bool created_only = false;  // never started
  int exit_code = 0;
  bool out_of_memory = false;
  Time started;
  Time finished;
  bool tty = false;
  std::string address = {};  // on its network while it runs; empty: none
  int pid = 0;               // of its first process as the machine counts; 0: does not run
};

struct ContainerSummary {
  std::string id;
  std::string name;
  std::map<std::string, std::string> labels;
  bool running = false;
  Time created = {};
  std::string image_id = {};
};

/// A volume is a directory that outlives containers.
struct VolumeInfo {
  std::string name;
  std::map<std::string, std::string> labels;
  Time created;  // as the engine says, by whole seconds; Docker's moves when the volume's top directory changes
};

struct ImageInfo {
  std::string id;                    // "sha256:..."
  std::vector<std::string> tags;     // "busybox:1.36"
  std::vector<std::string> digests;  // "busybox@sha256:...", of the registry it came from
  std::map<std::string, std::string> labels;
  std::int64_t bytes = 0;  // with the layers that it shares
  Time created;            // when it was built
};

struct RegistryLogin {
  std::string username;
  std::string password;
  std::string server;  // "registry.example:5000"
};

struct NetworkInfo {
  std::string gateway;      // the machine's address there; empty if it has none
  std::string subnet;       // "172.18.0.0/16"
  std::string bridge = {};  // the interface that the machine has for it; empty: not known
};

struct ExecSpec {
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> env = {};
  bool tty = false;                    // as in ContainerSpec
  std::string user = {};               // empty: the container's
  std::string working_directory = {};  // empty: the container's
  bool open_stdin = false;             // write() and close_input() are for those with it
};

/// A command that runs inside a container beside the container's own. Reads and writes may run at the same time, one of
/// each. Usable after the engine object is gone.
class ExecSession {
 public:
  virtual ~ExecSession() = default;
  virtual Async<> write(std::string bytes) = 0;
  /// The command reads the end of its input; what it writes still comes. A terminal has no end: write "\x04" there.
  virtual Async<> close_input() = 0;
  /// Empty at the end. No deadline of its own.
  virtual Async<Output> read() = 0;
  /// Of its terminal.
  virtual Async<> resize(int rows, int columns) = 0;
  /// Until the command has ended. No deadline of its own. What it writes must be read meanwhile or before.
  virtual Async<int> exit_code() = 0;
  /// Ends the connection; the command may go on.
  virtual void close() = 0;
};

struct EngineInfo {
  std::string name;  // "docker 20.10.24"
  int cpus = 0;
  std::int64_t memory_bytes = 0;
  int cgroup_version = 1;
  std::string data_root = {};       // directory on the engine's machine that holds images, containers and volumes
  std::string storage_driver = {};  // "overlay2"
};

class Engine {
 public:
  virtual ~Engine() = default;

  /// Negotiates the version; the first call to make, and how to find out whether the engine answers.
  virtual Async<EngineInfo> info() = 0;
  /// Throws unless the engine takes new connections: one that is being stopped does not, though it answers on those it
  /// has.
  virtual Async<> probe() { co_await info(); }

  virtual Async<bool> has_image(std::string image) = 0;
  /// Pulls, as `login` if there is one; `progress` gets a line now and then. Throws not_found / not_authorized /
  /// unavailable with the registry's reason.
  virtual Async<> pull_image(std::string image, std::optional<RegistryLogin> login,
                             std::function<void(std::string)> progress) = 0;
  /// By reference or id; nothing if it is not there.
  virtual Async<std::optional<ImageInfo>> inspect_image(std::string image) { return cannot("inspect images", image); }
  virtual Async<std::vector<ImageInfo>> list_images() { return cannot("list images"); }
  /// Loads what save_image() gave, of `bytes` bytes (-1: not known). Returns the references, or ids of images without
  /// one, that were in it, at least one; throws invalid_input if it is no archive of images.
  virtual Async<std::vector<std::string>> load_image(std::shared_ptr<net::BodyReader> tar, std::int64_t bytes) {
    return cannot("load images", tar, bytes);
  }
  /// A tar archive of the image with its layers, by reference (which it then carries) or id.
  virtual Async<std::shared_ptr<net::BodyReader>> save_image(std::string image) { return cannot("save images", image); }
  /// Gives the image another reference, taking it from the image that had it.
  virtual Async<> tag_image(std::string id, std::string reference) { return cannot("tag images", id, reference); }
  /// Takes the reference away, and the image with its last one; fine if it is gone, conflict if a container uses it.
  virtual Async<> remove_image(std::string reference) { return cannot("remove images", reference); }
  /// Makes an image of what the container's files are now; returns the image's id. Volumes are not in it.
  virtual Async<std::string> commit_container(std::string id, std::string reference) {
    return cannot("commit containers", id, reference);
  }

  /// Fine if it is there; its labels then stay as they are.
  virtual Async<> create_volume(std::string name, std::map<std::string, std::string> labels) {
    return cannot("create volumes", name, labels);
  }
  /// Fine if it is gone; conflict if a container has it, running or not.
  virtual Async<> remove_volume(std::string name) { return cannot("remove volumes", name); }
  /// All that carry this label with this value.
  virtual Async<std::vector<VolumeInfo>> list_volumes(std::string label, std::string value) {
    return cannot("list volumes", label, value);
  }

  /// Returns the id.
  virtual Async<std::string> create_container(ContainerSpec spec) = 0;
  /// Output from now on, stdout and stderr merged in order of arrival; attach before start to miss nothing.
  virtual Async<std::shared_ptr<OutputStream>> attach(std::string id) = 0;
  virtual Async<> start_container(std::string id) = 0;
  /// The engine's stored output from the very start; ends when the container has ended (if `follow`).
  virtual Async<std::shared_ptr<OutputStream>> logs(std::string id, bool follow) = 0;
  /// Until the container has stopped; its exit code. No deadline of its own: the caller races it against maxRunTime.
  virtual Async<int> wait_container(std::string id) = 0;
  virtual Async<ContainerState> inspect_container(std::string id) = 0;
  /// Fine if it has ended already or is gone.
  virtual Async<> kill_container(std::string id, std::string signal) = 0;
  /// With its anonymous volumes, by force; fine if it is gone.
  virtual Async<> remove_container(std::string id) = 0;
  /// A tar archive of `path` inside the container; not_found if it is not there.
  virtual Async<std::shared_ptr<net::BodyReader>> copy_out(std::string id, std::string path) = 0;
  /// A file that a container which has ended wrote, much faster than by an archive; nothing if this engine cannot do
  /// that for this path (there is no such plain file, it leads through a link or a mount, the engine is on another
  /// machine): copy_out() then says what is there.
  virtual Async<std::optional<OpenFile>> open_file(std::string, std::string) { co_return std::nullopt; }
  /// Unpacks a tar archive of `bytes` bytes (-1: not known) into a directory that is in the container, running or not;
  /// not_found if it is not there.
  virtual Async<> copy_in(std::string id, std::string directory, std::shared_ptr<net::BodyReader> tar,
                          std::int64_t bytes) {
    return cannot("copy into containers", id, directory, tar, bytes);
  }
  /// Starts a command in a running container; conflict if it does not run. Throws invalid_input for a command that is
  /// not there only if the engine notices at once: else its exit code is 126 or 127.
  virtual Async<std::shared_ptr<ExecSession>> exec(std::string id, ExecSpec spec) {
    return cannot("run commands in containers", id, spec);
  }
  /// All containers, running or not, that carry this label with this value.
  virtual Async<std::vector<ContainerSummary>> list_containers(std::string label, std::string value) = 0;
  /// Makes sure that a bridge network of this name exists, without traffic between its containers.
  virtual Async<> ensure_network(std::string name) = 0;
  virtual Async<NetworkInfo> network_info(std::string name) { return cannot("tell of networks", name); }

 private:
  /// What a fake need not do. The arguments are only named.
  struct Cannot {
    std::string_view what;
    template <class T>
    operator Async<T>() const {
      return refuse<T>(what);
    }
  };
  template <class... Ignored>
  static Cannot cannot(std::string_view what, const Ignored&...) {
    return {what};
  }
  template <class T>
  static Async<T> refuse(std::string_view what) {
    throw Error(ErrorCode::unsupported, "this container engine cannot " + std::string(what));
    co_return T();
  }
};

}  // namespace gantry::engine
