#include "agent/task/side_container.h"

#include <charconv>
#include <filesystem>

#include <fmt/format.h>
#include <sys/stat.h>

#include "agent/images/image_name.h"
#include "agent/images/registries.h"
#include "agent/task/one_line.h"
#include "agent/task/scopes.h"
#include "base/text.h"

namespace gantry::agent {
namespace {

constexpr Duration socket_look_interval = milliseconds(200);
constexpr std::size_t words_bytes_max = 64 * 1024;  // of its output that is read
constexpr std::size_t last_words_bytes_max = 500;   // and told
constexpr std::int64_t pids_max = 4096;
constexpr const char* here = "127.0.0.1";

/// The folder of a run's side containers: "<task>-<run>".
std::string run_folder(const std::string& directory, wire::RunRef run) {
  return fmt::format("{}/{}-{}", directory, run.task.to_string(), run.run);
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  // Whoever the container's program runs as; nobody else gets through the agent's own folder.
  if (error || ::chmod(path.c_str(), 0777) != 0) {
    throw Error(ErrorCode::unavailable, fmt::format("cannot make {}", path), "check the agent's data directory");
  }
}

bool is_socket(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_socket(path, error);
}

}  // namespace

std::optional<wire::RunRef> side_run_of_labels(const std::map<std::string, std::string>& labels) {
  auto label = labels.find(side_label);
  if (label == labels.end()) return std::nullopt;
  std::string_view text = label->second;
  std::size_t slash = std::min(text.find('/'), text.size());
  auto task = TaskId::parse(text.substr(0, slash));
  wire::RunRef run;
  text.remove_prefix(std::min(slash + 1, text.size()));
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), run.run);
  if (!task || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  run.task = *task;
  return run;
}

void clear_side_folders(const std::string& directory, const std::set<wire::RunRef>& keep) {
  std::set<std::string> wanted;
  for (wire::RunRef run : keep) wanted.insert(run_folder(directory, run));
  std::error_code error;
  for (const auto& folder : std::filesystem::directory_iterator(directory, error)) {
    if (!wanted.contains(folder.path().string())) std::filesystem::remove_all(folder.path(), error);
  }
}

std::string SideContainer::container_name(const RunContext& run) const {
  return fmt::format("gantry-side-{}-{}-{}", run.run.task.to_string(), run.run.run, name_);
}

std::string SideContainer::folder(const RunContext& run) const {
  return fmt::format("{}/{}", run_folder(run.settings.side_directory, run.run), name_);
}

std::string SideContainer::socket_file(const RunContext& run) const {
  return folder(run) + settings_.socket.substr(settings_.socket.rfind('/'));
}

Async<> SideContainer::require(RunContext& run) const {
  if (settings_.privileged && !run.settings.allow_privileged) {
    throw Error(ErrorCode::not_authorized,
                fmt::format("Cannot run the side container \"{}\" in docker privileged mode", name_),
                "this agent does not allow it; one that does is started with --allow-privileged");
  }
  co_await require_scope(run, settings_.scope, fmt::format("use the side container \"{}\"", name_));
}

engine::ContainerSpec SideContainer::spec(const RunContext& run) const {
  engine::ContainerSpec spec;
  spec.name = container_name(run);
  spec.image = settings_.image;
  spec.command = settings_.command;
  spec.env.assign(settings_.env.begin(), settings_.env.end());
  spec.labels[agent_label] = run.settings.agent_id;
  spec.labels[side_label] = fmt::format("{}/{}", run.run.task.to_string(), run.run.run);
  spec.limits.memory_bytes = settings_.memory_bytes;
  spec.limits.pids = pids_max;
  spec.network = run.settings.network;
  spec.privileged = settings_.privileged;
  if (!spec.privileged) spec.capabilities_drop.emplace_back("NET_RAW");  // as of tasks: container_spec()
  if (!settings_.socket.empty()) {
    spec.mounts.push_back({engine::Mount::Type::bind, folder(run), std::string(side_socket_folder), false});
  }
  return spec;
}

Async<> SideContainer::get_image(RunContext& run) const {
  bool there = co_await run.engine.has_image(settings_.image);
  if (there) co_return;
  std::optional<engine::RegistryLogin> login;
  if (run.settings.registries) login = run.settings.registries->login_for(parse_image_name(settings_.image));
  co_await run.log.line(fmt::format("Pulling the image of the side container \"{}\"", name_));
  co_await run.engine.pull_image(settings_.image, std::move(login), [](const std::string&) {});
}

/// A name that is taken is left over from an attempt before.
Async<> SideContainer::create(RunContext& run, engine::ContainerSpec spec) const {
  std::optional<Error> failure;
  try {
    co_await run.engine.create_container(spec);
  } catch (const Error& error) {
    failure = error;
  }
  if (!failure) co_return;
  if (failure->code() != ErrorCode::conflict) throw *failure;
  co_await run.engine.remove_container(spec.name);
  co_await run.engine.create_container(spec);
}

Async<> SideContainer::start(RunContext& run, const std::set<std::string>& aliases) const {
  std::optional<Error> failure;
  try {
    co_await get_image(run);
    if (!settings_.socket.empty()) {
      co_await run.env.blocking([path = folder(run), stale = socket_file(run)] {
        make_folder(path);
        std::error_code ignored;
        std::filesystem::remove(stale, ignored);
      });
    }
    engine::ContainerSpec wanted = spec(run);
    if (!settings_.alias.empty() && run.plan.network_of.empty()) {
      // The first has the network, and with it the file of host names, for all.
      wanted.extra_hosts = std::exchange(run.plan.extra_hosts, {});
      for (const std::string& alias : aliases) wanted.extra_hosts.emplace_back(alias, here);
    } else if (!settings_.alias.empty()) {
      wanted.network_of = run.plan.network_of;
    }
    co_await create(run, std::move(wanted));
    co_await run.engine.start_container(container_name(run));
    if (!settings_.socket.empty()) co_await await_socket(run);
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) throw failure->in(fmt::format("side container \"{}\"", name_));
  plan_again(run);
  if (!settings_.socket.empty()) {
    run.plan.mounts.push_back({engine::Mount::Type::bind, socket_file(run), settings_.socket, true});
  }
  co_await run.log.line(fmt::format("Side container \"{}\" runs", name_));
}

void SideContainer::plan_again(RunContext& run) const {
  if (!settings_.alias.empty() && run.plan.network_of.empty()) run.plan.network_of = container_name(run);
}

Async<> SideContainer::await_socket(RunContext& run) const {
  Duration until = run.env.uptime() + side_start_max;
  for (;;) {
    bool there = co_await run.env.blocking([path = socket_file(run)] { return is_socket(path); });
    if (there) co_return;
    engine::ContainerState state = co_await run.engine.inspect_container(container_name(run));
    if (!state.running) {
      throw Error(ErrorCode::invalid_input, fmt::format("it ended with exit code {} before it was ready: {}",
                                                        state.exit_code, co_await last_words(run)));
    }
    if (run.env.uptime() >= until) {
      throw Error(ErrorCode::deadline_exceeded,
                  fmt::format("it did not make the socket {}{} within {} s", side_socket_folder,
                              settings_.socket.substr(settings_.socket.rfind('/')),
                              std::chrono::duration_cast<seconds>(side_start_max).count()),
                  "its command must make it there, and the agent must run on the machine of its container engine");
    }
    co_await run.env.sleep(socket_look_interval);
  }
}

Async<std::string> SideContainer::last_words(RunContext& run) const {
  auto output = co_await run.engine.logs(container_name(run), false);
  std::string text;
  while (text.size() < words_bytes_max) {
    engine::Output piece = co_await output->read();
    if (piece.bytes.empty()) break;
    text += piece.bytes;
  }
  if (text.size() > last_words_bytes_max) text.erase(0, text.size() - last_words_bytes_max);
  co_return one_line(std::move(text));
}

Async<> SideContainer::remove(RunContext& run) const {
  co_await run.engine.remove_container(container_name(run));
  co_await run.env.blocking([path = run_folder(run.settings.side_directory, run.run) + "/" + name_] {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
    std::filesystem::remove(std::filesystem::path(path).parent_path(), ignored);  // if it was the last one's
  });
}

}  // namespace gantry::agent
