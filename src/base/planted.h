// Bugs that the simulator can switch on, one at a time, to show that it would find them (design 6: the simulation is
// itself tested by mutation). Nothing but sim/ ever sets `planted_bug`; elsewhere every check is false.
#pragma once

#include <string_view>

namespace gantry {

enum class PlantedBug {
  none,
  answer_before_durable,         // answers go out before the commit is on disk
  lost_wakeup,                   // a new task does not wake the claim that waits for it
  retry_not_counted,             // a retry does not cost one of the task's retries
  lease_survives_restart,        // after a restart, claims expire by the old clock at once
  claim_keeps_pending,           // a claimed run can be claimed again
  resolve_twice,                 // a late report changes a resolved run
  deadline_spares_running,       // the deadline passes over running tasks
  failed_commit_kept,            // a commit that failed stays in memory
  unclaim_without_check,         // an undelivered claim is undone although the run has moved on
  cancel_keeps_allocation,       // a cancelled run keeps its reservation
  create_overwrites,             // the same task id with another definition is accepted
  torn_batch,                    // a batch reaches the disk in two halves
  youngest_first,                // the queue hands out the newest task first
  cold_task_forgotten,           // a task that is not in memory is taken for absent
  release_only_first_dependent,  // of those that wait for a task only one is told of its end
  met_bit_lost_on_rerun,         // who was released by a task waits again when it is run again
  group_resolved_early,          // a group counts as resolved with its first task
  pull_forgotten_after_restart,  // pulled priorities are not stored
  rerun_keeps_retries,           // a rerun does not give the retries back
  failure_releases,              // a dependency that failed counts as completed
  claim_token_ignored,           // a claim that is asked for again gets new tasks
  sealed_group_takes_tasks,      // a task may join a group that was sealed
  group_root_forgotten,          // a group counts as resolved although the task that it is named after is open
  work_stops_at_first_step,      // what does not fit into one transaction is not carried on
  work_lost_on_restart,          // a new server does not carry on what the one before it has begun
  met_bits_not_stored,           // which dependencies have been met is not stored
  priority_reset_on_restart,     // a new server forgets which priorities were changed
  retry_releases,                // a run that is tried again counts as the end of its task
  events_of_one_task,            // of a transaction that changes several tasks, only one is told about
  adoption_repeats_log,          // an agent that takes a container up again logs its output from the start
  agent_forgets_cancel,          // an agent does not act on what it is told to give up
  report_before_log_end,         // a result is reported before all output has been read
  orphans_stay,                  // containers without a run of theirs are never removed
  engine_stop_blames_task,       // a container that its engine has ended counts as one that has failed
};

inline PlantedBug planted_bug = PlantedBug::none;

inline bool planted(PlantedBug bug) { return planted_bug == bug; }

struct PlantedBugInfo {
  PlantedBug bug;
  std::string_view name;
};
inline constexpr PlantedBugInfo planted_bugs[] = {
    {PlantedBug::answer_before_durable, "answer-before-durable"},
    {PlantedBug::lost_wakeup, "lost-wakeup"},
    {PlantedBug::retry_not_counted, "retry-not-counted"},
    {PlantedBug::lease_survives_restart, "lease-survives-restart"},
    {PlantedBug::claim_keeps_pending, "claim-keeps-pending"},
    {PlantedBug::resolve_twice, "resolve-twice"},
    {PlantedBug::deadline_spares_running, "deadline-spares-running"},
    {PlantedBug::failed_commit_kept, "failed-commit-kept"},
    {PlantedBug::unclaim_without_check, "unclaim-without-check"},
    {PlantedBug::cancel_keeps_allocation, "cancel-keeps-allocation"},
    {PlantedBug::create_overwrites, "create-overwrites"},
    {PlantedBug::torn_batch, "torn-batch"},
    {PlantedBug::youngest_first, "youngest-first"},
    {PlantedBug::cold_task_forgotten, "cold-task-forgotten"},
    {PlantedBug::release_only_first_dependent, "release-only-first-dependent"},
    {PlantedBug::met_bit_lost_on_rerun, "met-bit-lost-on-rerun"},
    {PlantedBug::group_resolved_early, "group-resolved-early"},
    {PlantedBug::pull_forgotten_after_restart, "pull-forgotten-after-restart"},
    {PlantedBug::rerun_keeps_retries, "rerun-keeps-retries"},
    {PlantedBug::failure_releases, "failure-releases"},
    {PlantedBug::claim_token_ignored, "claim-token-ignored"},
    {PlantedBug::sealed_group_takes_tasks, "sealed-group-takes-tasks"},
    {PlantedBug::group_root_forgotten, "group-root-forgotten"},
    {PlantedBug::work_stops_at_first_step, "work-stops-at-first-step"},
    {PlantedBug::work_lost_on_restart, "work-lost-on-restart"},
    {PlantedBug::met_bits_not_stored, "met-bits-not-stored"},
    {PlantedBug::priority_reset_on_restart, "priority-reset-on-restart"},
    {PlantedBug::retry_releases, "retry-releases"},
    {PlantedBug::events_of_one_task, "events-of-one-task"},
    {PlantedBug::adoption_repeats_log, "adoption-repeats-log"},
    {PlantedBug::agent_forgets_cancel, "agent-forgets-cancel"},
    {PlantedBug::report_before_log_end, "report-before-log-end"},
    {PlantedBug::orphans_stay, "orphans-stay"},
    {PlantedBug::engine_stop_blames_task, "engine-stop-blames-task"},
};

}  // namespace gantry
