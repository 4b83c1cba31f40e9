// The kinds of faults that a simulation can inject, one table; and how often each of them was.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "sim/random.h"

namespace gantry::sim {

enum class Fault : std::uint8_t {
  request_lost,
  request_doubled,
  answer_lost,
  message_delayed,
  connection_reset,
  cut,
  server_crash,
  crash_in_write,
  crash_in_work,
  server_restart,
  server_pause,
  disk_full,
  disk_slow,
  write_unknown,
  open_fails,
  clock_jump,
  clock_skew,
  worker_crash,
  worker_pause,
  agent_restart,
  agent_disk_full,
  engine_call_fails,
  engine_call_hangs,
  engine_slow,
  engine_answer_lost,
  engine_stream_cut,
  engine_log_short,
  engine_restart,
};
inline constexpr int fault_count = 28;

struct FaultInfo {
  Fault fault;
  std::string_view name;
  std::string_view description;
};
/// In the order of Fault.
inline constexpr FaultInfo fault_table[fault_count] = {
    {Fault::request_lost, "request-lost", "a request never arrives; its client waits until its timeout"},
    {Fault::request_doubled, "request-doubled", "a request arrives twice, the second time up to 15 s later"},
    {Fault::answer_lost, "answer-lost", "an answer never arrives; the server may or may not notice, soon or late"},
    {Fault::message_delayed, "message-delayed", "a request or an answer takes up to 20 s"},
    {Fault::connection_reset, "connection-reset", "a connection breaks while its request is being answered"},
    {Fault::cut, "cut", "one client and the server cannot reach each other, for up to 10 minutes"},
    {Fault::server_crash, "server-crash", "the server dies, and starts again within up to 40 minutes"},
    {Fault::crash_in_write, "crash-in-write", "the server dies while a write is in flight, which survives or not"},
    {Fault::crash_in_work, "crash-in-work", "the server dies between two steps of larger work"},
    {Fault::server_restart, "server-restart", "the server is stopped cleanly and started again"},
    {Fault::server_pause, "server-pause", "the server's process stands still for up to 40 s"},
    {Fault::disk_full, "disk-full", "a write fails, or every write for up to 4 minutes, of files too"},
    {Fault::disk_slow, "disk-slow", "a write takes up to 8 s"},
    {Fault::write_unknown, "write-unknown", "a write fails with an unknown outcome; it survives or not"},
    {Fault::open_fails, "open-fails", "the store cannot be opened again at once"},
    {Fault::clock_jump, "clock-jump", "the server's wall clock jumps by up to 90 s, either way"},
    {Fault::clock_skew, "clock-skew", "a client's wall clock is off by up to 60 s"},
    {Fault::worker_crash, "worker-crash",
     "a worker or agent dies and starts again; a native node's containers go on meanwhile"},
    {Fault::worker_pause, "worker-pause", "a worker's or agent's process stands still for up to 30 minutes"},
    {Fault::agent_restart, "agent-restart", "an agent is stopped, with or without its tasks, and started again"},
    {Fault::agent_disk_full, "agent-disk-full", "what an agent writes to its disk fails, for up to 3 minutes"},
    {Fault::engine_call_fails, "engine-call-fails", "a call of a container engine fails"},
    {Fault::engine_call_hangs, "engine-call-hangs", "a call of a container engine is not answered, carried out or not"},
    {Fault::engine_slow, "engine-slow", "a call of a container engine takes up to 25 s"},
    {Fault::engine_answer_lost, "engine-answer-lost", "a call is carried out, and the connection to the engine breaks"},
    {Fault::engine_stream_cut, "engine-stream-cut", "a container's output or archive breaks off"},
    {Fault::engine_log_short, "engine-log-short", "a followed log ends with its container, before its last words"},
    {Fault::engine_restart, "engine-restart",
     "a container engine is stopped or killed, and back after up to 5 minutes"},
};

inline std::string_view name_of(Fault fault) { return fault_table[static_cast<std::size_t>(fault)].name; }

class Faults {
 public:
  using Counts = std::array<std::uint64_t, fault_count>;

  /// "all", "none" or names separated by commas. Errors: invalid_input.
  static Result<Faults> parse(std::string_view text);

  bool enabled(Fault fault) const { return !calm_ && on_[static_cast<std::size_t>(fault)]; }
  /// Whether the fault happens now, with this probability if it is enabled; then it is counted.
  bool fires(Fault fault, Random& random, double probability) {
    if (!enabled(fault) || !random.chance(probability)) return false;
    ++counts_[static_cast<std::size_t>(fault)];
    return true;
  }
  /// Whether anything may go wrong at all.
  bool any() const { return std::ranges::find(on_, true) != on_.end(); }
  void count(Fault fault) { ++counts_[static_cast<std::size_t>(fault)]; }
  /// No more faults from now on.
  void calm() { calm_ = true; }
  bool is_calm() const { return calm_; }
  const Counts& counts() const { return counts_; }

 private:
  std::array<bool, fault_count> on_{};
  Counts counts_{};
  bool calm_ = false;
};

}  // namespace gantry::sim
