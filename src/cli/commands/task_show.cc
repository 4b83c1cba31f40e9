#include "cli/commands/task_show.h"

#include <fmt/format.h>

#include "base/text.h"
#include "cli/output.h"

namespace gantry::cli {
namespace {

constexpr std::size_t shown_bytes_max = 200;

std::string coloured(const Style& style, std::string_view state) {
  if (state == "completed") return style.green(state);
  if (state == "failed" || state == "exception") return style.red(state);
  return style.yellow(state);
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  if (!value.empty()) out += fmt::format("{:<10} {}\n", name, value);
}

std::string command_text(const json::value& payload) {
  std::string text;
  for (const json::value& word : array_at(payload, "command")) {
    if (!word.is_string()) continue;
    text.append(text.empty() ? "" : " ").append(shorten(word.get_string(), shown_bytes_max));
  }
  return shorten(text, shown_bytes_max);
}

std::string exit_text(const json::value& exit) {
  if (exit.is_null()) return {};
  std::string text;
  std::string_view cause = text_at(exit, "cause");
  if (cause.empty() || cause == "exited") {
    text = fmt::format("exit code {}", number_at(exit, "code"));
  } else {
    text = cause;
  }
  if (std::int64_t signal = number_at(exit, "signal")) text += fmt::format(", signal {}", signal);
  if (!value_at(exit, "outOfMemory").is_null()) text += ", out of memory";
  if (auto message = text_at(exit, "message"); !message.empty()) text += ": " + shorten(message, shown_bytes_max);
  return text;
}

/// Each step with the time that passed since the one before.
void append_timeline(std::string& out, const json::value& run, const Style& style) {
  std::optional<Time> before;
  for (const json::value& step : array_at(run, "timeline")) {
    auto at = parse_time(text_at(step, "at"));
    std::string passed = before && at ? "+" + format_duration(std::max(*at - *before, Duration(0))) : "";
    out +=
        fmt::format("    {}  {:<12} {}\n", text_at(step, "at"), shorten(text_at(step, "step"), 40), style.dim(passed));
    if (at) before = at;
  }
}

void append_run(std::string& out, const json::value& run, const json::value& status_run, const Style& style) {
  std::string_view reason = text_at(run, "reason");
  std::string_view state = text_at(run, "state");
  out += fmt::format("  run {}: {}", number_at(run, "runId"), coloured(style, state));
  if (!reason.empty() && reason != state) out += fmt::format(" ({})", reason);
  std::string ended = exit_text(value_at(run, "exit"));
  if (!ended.empty()) out += ", " + ended;
  if (auto worker = text_at(status_run, "workerId"); !worker.empty()) {
    out += fmt::format(", on {}/{}", text_at(status_run, "workerGroup"), worker);
  }
  out += '\n';
  append_timeline(out, run, style);
}

}  // namespace

std::string task_summary(const json::value& task, const Style& style) {
  const json::value& status = value_at(task, "status");
  const json::value& definition = value_at(task, "task");
  const json::value& payload = value_at(definition, "payload");
  const json::value& image = value_at(payload, "image");
  std::string out;
  append_field(out, "task", style.bold(text_at(task, "taskId")));
  append_field(out, "state", coloured(style, text_at(task, "state")));
  append_field(out, "name", shorten(text_at(value_at(definition, "metadata"), "name"), shown_bytes_max));
  append_field(out, "image",
               shorten(image.is_object() ? text_at(image, "name") : text_at(payload, "image"), shown_bytes_max));
  append_field(out, "command", command_text(payload));
  append_field(out, "queue", text_at(status, "taskQueueId"));
  append_field(out, "priority", text_at(status, "priority"));
  append_field(out, "group", text_at(status, "taskGroupId"));
  append_field(out, "retries", fmt::format("{} left", number_at(status, "retriesLeft")));
  append_field(out, "created", text_at(task, "created"));
  append_field(out, "deadline", text_at(status, "deadline"));
  append_field(out, "expires", text_at(status, "expires"));
  const json::array& runs = array_at(task, "runs");
  const json::array& status_runs = array_at(status, "runs");
  static const json::value none;
  if (!runs.empty()) out += '\n';
  for (std::size_t i = 0; i < runs.size(); ++i) {
    append_run(out, runs[i], i < status_runs.size() ? status_runs[i] : none, style);
  }
  return out;
}

}  // namespace gantry::cli
