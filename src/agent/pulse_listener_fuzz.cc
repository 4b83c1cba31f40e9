// Messages of a broker from arbitrary bytes: no crash, and what is taken for news names a run that there can be.
#include <cstddef>
#include <cstdint>

#include "agent/pulse_listener.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const char* exchange : {"exchange/taskcluster-queue/v1/task-pending",
                               "exchange/taskcluster-queue/v1/task-exception", "exchange/other"}) {
    auto news = gantry::agent::parse_pulse_news(exchange, body, "p/w");
    if (!news) continue;
    GANTRY_ASSERT(news->pending != news->ended.has_value());
    if (news->ended) GANTRY_ASSERT(news->ended->run >= 0);
  }
  return 0;
}
