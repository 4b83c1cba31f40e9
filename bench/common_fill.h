// Fills the store of a server that is stopped: the same core functions and commits as the server's, without HTTP, so
// that a million tasks take a minute.
#pragma once

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include "base/env.h"
#include "bench/common_lifecycle.h"
#include "core/queue/claim.h"
#include "core/queue/create.h"
#include "core/queue/resolve.h"
#include "server/commit.h"
#include "server/load.h"
#include "store/sqlite/sqlite_store.h"
#include "wire/task_definition.h"

namespace gantry::bench {

class Fill {
 public:
  explicit Fill(const std::string& database) : env_(io_), store_(store::open_sqlite(database)), commits_(env_, state_) {
    server::KnownTasks tasks;
    server::KnownGroups groups;
    server::load_state(*store_, state_, tasks, groups);
    commits_.attach(*store_);
  }
  Fill(const Fill&) = delete;
  Fill& operator=(const Fill&) = delete;
  ~Fill() { settle(); }

  /// Tasks of 1.5 KB in groups of `group_size`, on `queue`; the resolved ones are completed.
  void add(std::uint64_t count, bool resolved, std::uint64_t group_size = 100) {
    TaskGroupId group;
    for (std::uint64_t i = 0; i < count; ++i) {
      TaskId id = TaskId::random(env_);
      if (i % group_size == 0) group = id;
      create(id, group);
      if (resolved) complete();
      if (i % settle_every == settle_every - 1) settle();
    }
    settle();
  }

 private:
  static constexpr std::uint64_t settle_every = 1000;

  void create(TaskId id, TaskGroupId group) {
    auto any = [](std::string_view) { return wire::PayloadRule::any_object; };
    std::string body = definition(env_);
    body.insert(1, fmt::format("\"taskGroupId\":\"{}\",", group.to_string()));
    wire::TaskDefinition task = value_or_throw(wire::parse_task_definition(id, body, any));
    auto tx = commits_.begin();
    value_or_throw(queue::create(tx, id, task));
    commits_.stage(tx);
  }

  void complete() {
    auto tx = commits_.begin();
    queue::Claim claim = queue::claim(tx, {queue, "bench", "bench", 1}).at(0);
    commits_.stage(tx);
    auto end = commits_.begin();
    value_or_throw(queue::report(end, claim.task, claim.run, {state::ReasonResolved::completed, {}}));
    commits_.stage(end);
  }

  void settle() {
    while (!commits_.is_settled(state_.last_commit())) {
      if (io_.stopped()) io_.restart();
      io_.run_one();
      if (!commits_.trouble().empty()) throw Error(ErrorCode::unavailable, commits_.trouble());
    }
    state_.forget_resolved(0, commits_.durable());
  }

  asio::io_context io_;
  SystemEnv env_;
  asio::executor_work_guard<Executor> work_ = asio::make_work_guard(io_);
  std::shared_ptr<store::Store> store_;
  state::State state_;
  server::CommitLoop commits_;
};

/// Adds tasks to the store of a server, which is stopped meanwhile.
inline void fill(DevServer& server, std::uint64_t resolved, std::uint64_t open) {
  server.stop(SIGTERM);
  {
    Fill fill(server.directory() + "/gantry.db");
    fill.add(resolved, true);
    fill.add(open, false);
  }
  server.start();
}

/// Resident memory of a process, in MB (1,000,000 bytes).
inline double resident_mb(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/statm", process));
  double pages = 0;
  double resident = 0;
  file >> pages >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

/// Processor seconds that a process has used.
inline double processor_seconds(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string line;
  std::getline(file, line);
  std::istringstream fields(line.substr(line.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace gantry::bench
