// Holds what the server says of native runs against what their containers have done: the outcome, the log to the byte,
// and the artifacts.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/state/records.h"
#include "object/object_store.h"
#include "sim/oracle.h"
#include "sim/sim_machine.h"
#include "store/store.h"
#include "wire/payload.h"

namespace gantry::sim {

class NativeCheck {
 public:
  using Fail = std::function<void(std::string)>;
  NativeCheck(const ContainerFacts& facts, Oracle& oracle, Fail fail)
      : facts_(facts), oracle_(oracle), fail_(std::move(fail)) {}

  /// A log that somebody has read, finished or not: what the container has written, from its start, without a gap.
  void check_log(const wire::RunRef& run, std::string_view log) const;
  /// Every run of the native queue on the disk.
  Async<> check_all(store::Store& store, object::ObjectStore& objects, std::string native_queue) const;

 private:
  void check_outcome(const wire::RunRef& run, const state::Run& record, const wire::Payload& payload) const;
  void check_whole_log(const wire::RunRef& run, const state::Run& record, const std::string& log) const;
  Async<> check_artifacts(wire::RunRef run, wire::Payload payload, object::ObjectStore& objects) const;
  void fail(const wire::RunRef& run, std::string_view what) const;
  const ContainerFact& fact_of(const wire::RunRef& run) const;

  const ContainerFacts& facts_;
  Oracle& oracle_;
  Fail fail_;
};

}  // namespace gantry::sim
