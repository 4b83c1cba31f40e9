// What has expired goes, in the background: tasks, artifacts and groups with their rows, workers and task queues, what
// the neighbours add; and files of artifacts that no record tells of (a crash between the two). A sweep walks slowly
// over the store; each step is one small transaction.
//
// io_context thread only. Life: construct, run() in a scope.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "server/services.h"

namespace gantry::server {

struct ExpirySettings {
  Duration period = hours(1);              // from one sweep to the next
  Duration page_pause = milliseconds(20);  // after each page of rows
};

class Expiry {
 public:
  Expiry(Services& services, ExpirySettings settings) : services_(services), settings_(settings) {}

  /// Further records to look at in each sweep. `step` does a part and says whether that was all.
  void add(std::string what, std::function<Async<bool>()> step) {
    steps_.push_back({std::move(what), std::move(step)});
  }

  /// One sweep after the other, until it is cancelled. Waits while the server does not lead; what fails is tried again
  /// with the next sweep.
  Async<> run();

  struct Counts {
    std::uint64_t sweeps = 0;  // finished ones
    std::uint64_t tasks = 0;
    std::uint64_t artifacts = 0;
    std::uint64_t groups = 0;
    std::uint64_t files = 0;  // that no record told of
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Step {
    std::string what;
    std::function<Async<bool>()> act;
  };
  using Handle = Async<> (Expiry::*)(store::Entry);

  Async<> sweep();
  /// Runs a part of the sweep; an error ends that part.
  Async<> guarded(std::string what, Async<> part);
  /// Visits the rows of a table whose records have expired.
  Async<> sweep_table(state::TableId table, Handle handle);
  Async<> sweep_more(Step& step);
  Async<> sweep_memory();
  Async<> sweep_files();
  Async<> load_to_expire(TaskId task, TaskGroupId group);
  Async<> expire_task(store::Entry row);
  Async<> expire_artifact(store::Entry row);
  Async<> expire_group(store::Entry row);
  /// The records are gone for good: now the bytes.
  Async<> remove_files(std::vector<std::string> names);
  Async<bool> has_record(std::string object);

  Services& services_;
  ExpirySettings settings_;
  std::vector<Step> steps_;
  Counts counts_;
  std::set<std::string> suspects_;  // files without a record in the last sweep; in this one as well, and they go
};

/// When a stored record expires, read without parsing all of it; epoch if it does not say.
Time stored_expiry(std::string_view record);

}  // namespace gantry::server
