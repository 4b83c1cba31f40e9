// One image on its way: what ImageStore's coroutines share about it. Internal to the store.
#pragma once

#include <list>

#include "agent/images/image_store.h"
#include "agent/images/limits.h"

namespace gantry::agent {

struct ImageStore::Job {
  Job(Env& environment, Wanted what) : env(environment), wanted(std::move(what)) {}

  Env& env;
  Wanted wanted;
  std::list<RunContext*> waiters;
  bool ended = false;      // with `failure`, or well
  bool abandoned = false;  // nobody waits any more: it ends, and whoever comes now waits for another one
  std::optional<Error> failure;
  std::vector<std::string> notes;  // for the waiters' logs, in order
  Event news;                      // for the job itself: of waiters, of its attempt
  Event done;                      // for the waiters

  // Of the attempt that is under way.
  bool attempting = false;
  std::exception_ptr attempt_failure;
  Duration moved{};           // when something has last come
  bool moves_unseen = false;  // the engine works on what it was given, and says nothing meanwhile
  std::string progress;       // "downloaded 41.3 of 120.0 MB"

  Duration began{};  // its turn
  Duration until{};  // its deadline

  /// `text` says how far it is: the same again is no progress.
  void progressed(std::string text) {
    if (text == progress) return;
    progress = std::move(text);
    moved = env.uptime();
  }
};

/// Counts a run among those that wait for a job, until it stops waiting.
class ImageStore::Waiter {
 public:
  Waiter(JobPointer job, RunContext& run)
      : job_(std::move(job)), at_(job_->waiters.insert(job_->waiters.end(), &run)) {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() {
    job_->waiters.erase(at_);
    if (job_->waiters.empty() && !job_->ended) job_->abandoned = true;
    job_->news.notify_all();
  }

 private:
  JobPointer job_;
  std::list<RunContext*>::iterator at_;
};

}  // namespace gantry::agent
