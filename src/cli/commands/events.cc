// `gantry events`: what happens to tasks and groups, from the server's event stream, through restarts of the server.
#include <fmt/format.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/commands/commands.h"
#include "cli/log_follower.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "wire/pulse_messages.h"

namespace gantry::cli {
namespace {

/// The server says at least every 15 s that it is there.
constexpr Duration silence_max = seconds(45);
constexpr Duration retry_pause = milliseconds(500);
constexpr std::size_t event_bytes_max = 8u << 20;

/// Takes a stream of server-sent events apart.
class EventParser {
 public:
  /// Calls `sink` with the data of each event that `piece` completes. Throws Error if it is no event stream.
  void take(std::string_view piece, const std::function<void(std::string_view)>& sink) {
    buffer_ += piece;
    std::size_t at = 0;
    for (std::size_t end; (end = buffer_.find('\n', at)) != std::string::npos; at = end + 1) {
      take_line(std::string_view(buffer_).substr(at, end - at), sink);
    }
    buffer_.erase(0, at);
    if (buffer_.size() + data_.size() > event_bytes_max) {
      throw Error(ErrorCode::internal, "the server sends an event without an end");
    }
  }
  const std::string& last_id() const { return last_id_; }
  /// A new connection begins: what was cut off comes again.
  void reset() {
    buffer_.clear();
    data_.clear();
    id_ = last_id_;
  }

 private:
  void take_line(std::string_view line, const std::function<void(std::string_view)>& sink) {
    if (line.starts_with("id: ")) id_ = line.substr(4);
    if (line.starts_with("data: ")) data_ += line.substr(6);
    if (!line.empty()) return;
    if (!data_.empty()) sink(data_);
    data_.clear();
    last_id_ = id_;
  }

  std::string buffer_;
  std::string data_;
  std::string id_;
  std::string last_id_;
};

std::string about_task(std::string_view kind, const json::value& message) {
  const json::value& status = value_at(message, "status");
  std::string text = fmt::format("{}  {}", text_at(status, "taskId"), text_at(status, "taskQueueId"));
  if (const json::value& run = value_at(message, "runId"); run.is_int64())
    text += fmt::format("  run {}", run.get_int64());
  if (auto worker = text_at(message, "workerId"); !worker.empty()) {
    text += fmt::format("  on {}/{}", text_at(message, "workerGroup"), worker);
  }
  if (kind == "task-exception") {
    const json::array& runs = array_at(status, "runs");
    auto run = static_cast<std::size_t>(std::max<std::int64_t>(number_at(message, "runId"), 0));
    if (run < runs.size()) text += fmt::format("  {}", text_at(runs[run], "reasonResolved"));
  }
  if (const json::value& artifact = value_at(message, "artifact"); artifact.is_object()) {
    text += fmt::format("  {}", shorten(text_at(artifact, "name"), 200));
  }
  if (auto priority = text_at(message, "newPriority"); !priority.empty()) {
    text += fmt::format("  {} -> {}", text_at(message, "oldPriority"), priority);
  }
  return text;
}

std::string about_group(const json::value& message) {
  std::string text = fmt::format("{}  group of {}", text_at(message, "taskGroupId"), text_at(message, "schedulerId"));
  if (auto priority = text_at(message, "newPriority"); !priority.empty()) {
    text += fmt::format("  {} tasks -> {}", number_at(message, "tasksAffected"), priority);
  }
  return text;
}

/// "2026-11-20T00:00:00.000Z  task-completed         <task>  prov/queue  run 0  on group/worker"
std::string line_of(const json::value& event, const Style& style) {
  std::string_view kind = text_at(event, "event");
  const json::value& message = value_at(event, "message");
  std::string text;
  if (kind == "events-lost") {
    text = fmt::format("{} events are not in the log any more", number_at(message, "count"));
  } else {
    text = value_at(message, "status").is_object() ? about_task(kind, message) : about_group(message);
  }
  std::string name = fmt::format("{:<21}", kind);
  if (kind == "task-completed") name = style.green(name);
  if (kind == "task-failed" || kind == "task-exception" || kind == "events-lost") name = style.red(name);
  return fmt::format("{}  {}  {}\n", style.dim(text_at(event, "time")), name, text);
}

struct Following {
  std::string query;  // without the place in the log
  std::string after;  // where to begin; empty: now
  bool follow = false;
  bool json = false;
  EventParser parser{};
};

void print_event(const Following& following, std::string_view data) {
  if (following.json) return print(std::string(data) + "\n");
  auto event = parse_json(data);
  if (!event) throw event.error().in("an event of the server");
  print(line_of(event.value(), Style(1)));
}

/// One connection, to its end.
Async<> read_once(std::shared_ptr<Client> client, std::shared_ptr<Following> following,
                  std::shared_ptr<Patience> patience) {
  following->parser.reset();
  std::string place = following->parser.last_id().empty() ? following->after : following->parser.last_id();
  std::string target = "/v1/events?" + following->query + (place.empty() ? "" : "&after=" + place);
  net::OpenResponse response = co_await client->open(std::move(target), silence_max);
  patience->over();
  for (;;) {
    std::string piece = co_await response.body->read_some();
    if (piece.empty()) co_return;
    following->parser.take(piece, [&](std::string_view data) { print_event(*following, data); });
  }
}

Async<int> follow(std::shared_ptr<Client> client, std::shared_ptr<Following> following) {
  auto patience = std::make_shared<Patience>(client->env());
  for (;;) {
    std::optional<Error> failure;
    try {
      co_await read_once(client, following, patience);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure && !following->follow) co_return exit_ok;
    if (failure) {
      co_await patience->after(*failure);
    } else {
      co_await client->env().sleep(retry_pause);  // the server stops, or reads its state again
    }
  }
}

Async<int> events(std::shared_ptr<Client> client, Arguments arguments) {
  auto following = std::make_shared<Following>();
  following->follow = arguments.flag("follow");
  following->json = arguments.flag("json");
  if (arguments.has("after")) following->after = std::to_string(arguments.count("after"));
  if (!following->follow && following->after.empty()) following->after = "0";
  following->query = following->follow ? "follow=true" : "follow=false";
  for (std::string_view key : {"task", "group", "queue", "kind"}) {
    for (const std::string& value : arguments.texts(key)) {
      following->query += fmt::format("&{}={}", key, net::percent_encode(value));
    }
  }
  co_return co_await follow(std::move(client), std::move(following));
}

void check(const Arguments& arguments) {
  for (std::string_view key : {"task", "group"}) {
    for (const std::string& value : arguments.texts(key)) {
      if (!TaskId::parse(value)) throw UsageError(fmt::format("--{}: \"{}\" is not an id", key, shorten(value, 60)));
    }
  }
  std::vector<std::string_view> known;
  for (int i = 0; i < wire::event_kind_count; ++i) known.push_back(name_of(static_cast<wire::EventKind>(i)));
  for (const std::string& value : arguments.texts("kind")) {
    if (wire::parse_event_kind(value)) continue;
    std::string_view meant = nearest_word(value, known);
    std::string hint =
        meant.empty() ? fmt::format("it is one of: {}", fmt::join(known, " ")) : fmt::format("did you mean {}?", meant);
    throw UsageError(fmt::format("--kind: \"{}\" is no kind of event", shorten(value, 60)), std::move(hint));
  }
}

int run(const Arguments& arguments) {
  check(arguments);
  return run_with_client(arguments, events);
}

}  // namespace

Command events_command() {
  return {
      .path = "events",
      .summary = "Show what happens to tasks and groups",
      .details =
          "Prints what the server's event log still has, one line an event; with --follow, what happens from now on,\n"
          "until you stop it. Filters may be repeated; an event must fit one value of each. It survives restarts of\n"
          "the server without leaving anything out.",
      .options = {{.name = "follow", .kind = ValueKind::flag, .help = "go on with what happens from now on"},
                  {.name = "task", .value = "ID", .help = "only events of this task", .repeated = true},
                  {.name = "group", .value = "ID", .help = "only events of this task group", .repeated = true},
                  {.name = "queue",
                   .kind = ValueKind::queue,
                   .value = "P/W",
                   .help = "only events of tasks on this queue",
                   .repeated = true},
                  {.name = "kind",
                   .value = "KIND",
                   .help = "only such events, as task-completed or task-group-resolved",
                   .repeated = true},
                  {.name = "after",
                   .kind = ValueKind::count,
                   .value = "N",
                   .help = "begin after event number N; 0 is the beginning of the log"},
                  {.name = "json", .kind = ValueKind::flag, .help = "one JSON document a line, for programs"},
                  url_option(),
                  data_dir_option()},
      .examples = {{"gantry events --follow", "Everything, as it happens."},
                   {"gantry events --follow --kind task-failed --kind task-exception", "Only what went wrong."},
                   {"gantry events --task fN1SbArXTPSVFNUvaOlinQ", "What happened to one task."},
                   {"gantry events --follow --after 0 --json | jq .routingKey", "For programs, from the beginning."}},
      .run = run};
}

}  // namespace gantry::cli
