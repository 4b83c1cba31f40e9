// Events as server-sent events (the EventSource of browsers): a body that follows the outbox from any number on. A
// reader holds its place and nothing else, so a slow one costs no memory: it reads from the log again.
//
// io_context thread only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/http.h"
#include "server/output/outbox.h"
#include "server/services.h"

namespace gantry::server {

/// What a reader wants to see: of each list that is not empty, one value must fit. Events about groups have neither
/// task nor queue. `events_lost` is always told.
struct EventFilter {
  std::vector<TaskId> tasks;
  std::vector<TaskGroupId> groups;
  std::vector<std::string> queues;
  std::vector<wire::EventKind> kinds;

  bool fits(const wire::PulseMessage& message) const;
};

class EventStream : public net::BodyReader {
 public:
  /// Events after number `after`. Without `follow` it ends where the log ends now. Ends when the server stops, when it
  /// reads its state again, and at `until`: the client comes again and goes on from the last number it has seen.
  EventStream(Services& services, EventFilter filter, std::uint64_t after, std::optional<Time> until, bool follow);

  Async<std::string> read_some() override;

 private:
  /// Takes a page up to event_piece_bytes; returns what of it is to be said.
  std::string take(const Outbox::Page& page);
  std::string alive();

  Services& services_;
  EventFilter filter_;
  std::uint64_t after_;
  std::optional<Time> until_;
  bool follow_;
  bool greeted_ = false;
  Duration last_said_{};
};

}  // namespace gantry::server
