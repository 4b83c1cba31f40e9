#include "base/log.h"

#include <atomic>
#include <memory>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace gantry {
namespace {

std::atomic<LogLevel> level_now = LogLevel::info;
std::function<void(LogLevel, std::string_view)> sink_now;

spdlog::logger& logger() {
  static std::shared_ptr<spdlog::logger> instance = [] {
    auto made = spdlog::stderr_color_mt("gantry");
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%-7l%$ %v", spdlog::pattern_time_type::utc);
    made->set_level(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

}  // namespace

void set_log_level(LogLevel level) { level_now = level; }

bool log_enabled(LogLevel level) { return level >= level_now.load(std::memory_order_relaxed); }

void set_log_sink(std::function<void(LogLevel, std::string_view)> sink) { sink_now = std::move(sink); }

void log_line(LogLevel level, std::string_view line) {
  if (!log_enabled(level)) return;
  if (sink_now) {
    sink_now(level, line);
    return;
  }
  switch (level) {
    case LogLevel::debug: logger().debug("{}", line); break;
    case LogLevel::info: logger().info("{}", line); break;
    case LogLevel::warning: logger().warn("{}", line); break;
    case LogLevel::error: logger().error("{}", line); break;
  }
}

}  // namespace gantry
