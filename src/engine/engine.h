// The container engine as agents see it. Nothing above engine/ knows that Docker exists (design 3.14). Every call has a
// deadline of its own and throws Error: not_found, conflict, unavailable (engine down or it hung), deadline_exceeded.
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

struct ContainerSpec {
  std::string name;                  // unique; [a-zA-Z0-9][a-zA-Z0-9_.-]*
  std::string image;                 // a reference or an image id
  std::vector<std::string> command;  // empty: the image's own
  std::vector<std::pair<std::string, std::string>> env;
  std::map<std::string, std::string> labels;
  Limits limits;
  std::string network;  // name of a network; empty: the engine's default
  bool init = true;     // a small init as process 1, so that signals reach shells
};

struct ContainerState {
  std::string id;
  bool running = false;
  bool created_only = false;  // never started
  int exit_code = 0;
  bool out_of_memory = false;
  Time started;
  Time finished;
};

struct ContainerSummary {
  std::string id;
  std::string name;
  std::map<std::string, std::string> labels;
  bool running = false;
};

struct EngineInfo {
  std::string name;  // "docker 20.10.24"
  int cpus = 0;
  std::int64_t memory_bytes = 0;
  int cgroup_version = 1;
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
  /// Pulls; `progress` gets a line now and then. Throws not_found / not_authorized / unavailable with the registry's
  /// reason.
  virtual Async<> pull_image(std::string image, std::function<void(std::string)> progress) = 0;

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
  /// All containers, running or not, that carry this label with this value.
  virtual Async<std::vector<ContainerSummary>> list_containers(std::string label, std::string value) = 0;
  /// Makes sure that a bridge network of this name exists, without traffic between its containers.
  virtual Async<> ensure_network(std::string name) = 0;
};

}  // namespace gantry::engine
