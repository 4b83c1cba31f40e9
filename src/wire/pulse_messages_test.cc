#include "wire/pulse_messages.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace gantry::wire {
namespace {

TEST(PulseMessages, EveryKindHasANameThatLeadsBackToIt) {
  for (int i = 0; i < event_kind_count; ++i) {
    auto kind = static_cast<EventKind>(i);
    EXPECT_EQ(parse_event_kind(name_of(kind)), kind);
    EXPECT_TRUE(exchange_of(kind).ends_with("/v1/" + std::string(name_of(kind))));
  }
  EXPECT_EQ(parse_event_kind("task"), std::nullopt);
  EXPECT_EQ(parse_event_kind(""), std::nullopt);
}

TEST(PulseMessages, LostEventsAreCounted) {
  PulseMessage lost = events_lost_message(3, 7, time_from_ms(0));
  EXPECT_EQ(lost.body, R"({"version":1,"first":3,"last":7,"count":5})");
  EXPECT_EQ(lost.number, 7u);
}

TEST(PulseMessages, AsOneDocument) {
  PulseMessage message = events_lost_message(3, 7, time_from_ms(0));
  EXPECT_EQ(event_json(message), R"({"event":"events-lost","time":"1970-01-01T00:00:00.000Z","routingKey":"primary._",)"
                                 R"("message":{"version":1,"first":3,"last":7,"count":5}})");
}

}  // namespace
}  // namespace gantry::wire
