// live_log_lag_p99_ms: a task prints the time a hundred times a second; from then until a reader of its live log has
// the line, on one machine's clock. live_log_100_readers_cost_percent: a task that computes and prints 2 MB/s takes so
// much longer while a hundred readers follow its log, than without readers; both alternate, the medians are compared.
// The container, the agent, the server and the readers share the machine's cores.
#include "bench/common_client.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

constexpr int readers = 100;

std::string log_target(TaskId id) { return fmt::format("/v1/tasks/{}/runs/0/log?offset=0", id.to_string()); }

Async<> until_running(Client& client, Env& env, TaskId id) {
  for (;;) {
    json::value task = co_await client.call(net::Method::get, "/v1/tasks/" + id.to_string());
    if (task.at("state").as_string() == "running") co_return;
    co_await env.sleep(milliseconds(10));
  }
}

/// The number behind `name` in a line, or nothing.
std::optional<std::int64_t> number_of(std::string_view line, std::string_view name) {
  auto at = line.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  return std::stoll(std::string(line.substr(at + name.size())));
}

/// The lag of every whole line with a time that has come. What prints them is busybox's adjtimex, which alone there
/// knows parts of a second: the seconds in one line, and in the next the microseconds.
void take_lags(std::string& text, std::int64_t now_us, std::int64_t& second, std::vector<double>& lags_ms) {
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
    std::string line = text.substr(0, end);
    text.erase(0, end + 1);
    if (auto seconds = number_of(line, "time.tv_sec:")) second = *seconds;
    auto micros = number_of(line, "time.tv_usec:");
    if (micros && second > 0) lags_ms.push_back(static_cast<double>(now_us - second * 1'000'000 - *micros) / 1000);
  }
}

std::int64_t now_us() {
  auto since = std::chrono::system_clock::now().time_since_epoch();  // tidy: allow(clock) because it measures
  return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
}

Async<> measure_lag(Client& client, Env& env, int lines, std::vector<double>& lags_ms) {
  std::string script = fmt::format("i=0; while [ $i -lt {} ]; do adjtimex; i=$((i+1)); usleep 8000; done", lines);
  TaskId id = co_await client.create({"sh", "-c", script});
  co_await until_running(client, env, id);
  auto body = co_await client.open(log_target(id));
  std::string text;
  std::int64_t second = 0;
  for (;;) {
    std::string piece = co_await body->read_some();
    if (piece.empty()) co_return;
    text += piece;
    take_lags(text, now_us(), second, lags_ms);
  }
}

Async<> read_to_end(Client& client, std::string target, std::int64_t& bytes) {
  auto body = co_await client.open(target);
  for (;;) {
    std::string piece = co_await body->read_some();
    if (piece.empty()) co_return;
    bytes += static_cast<std::int64_t>(piece.size());
  }
}

Async<> begin_work(Client& client, Env& env, int lines, TaskId& id) {
  // About 100 bytes a line, after some arithmetic.
  std::string program = fmt::format("BEGIN {{ for (i = 0; i < {}; i++) {{ for (j = 0; j < 400; j++) x += j; ", lines);
  id = co_await client.create({"awk", program + "printf \"%08d %090d\\n\", i, x } }"});
  co_await until_running(client, env, id);
}

Async<> end_work(Client& client, TaskId id, double& took_s) {
  json::value task = co_await client.resolved(id);
  auto began = step_time(task, "started");
  auto ended = step_time(task, "exited");
  if (!began || !ended) throw Error(ErrorCode::internal, "the task that prints did not run");
  took_s = static_cast<double>((*ended - *began).count()) / 1000;
}

double work_s(Loop& loop, Client& client, int lines, int reading) {
  TaskId id;
  loop.run(begin_work(client, loop.env(), lines, id));
  std::int64_t bytes = 0;
  double took_s = 0;
  std::vector<Async<>> works;
  for (int i = 0; i < reading; ++i) works.push_back(read_to_end(client, log_target(id), bytes));
  works.push_back(end_work(client, id, took_s));
  loop.run_all(std::move(works));
  if (bytes < std::int64_t{reading} * lines * 100)
    throw Error(ErrorCode::internal, "readers did not get the whole log");
  return took_s;
}

void measure(const Options& options, Report& report) {
  DevServer server;
  Loop loop;
  Client client(loop.env(), server);
  std::vector<double> lags_ms;
  loop.run(measure_lag(client, loop.env(), options.quick ? 300 : 3000, lags_ms));
  report.note(fmt::format("{} lines, p50 {:.1f} ms", lags_ms.size(), percentile(lags_ms, 0.5)));
  report.add("live_log_lag_p99_ms", percentile(lags_ms, 0.99), "ms", "lower");
  std::vector<double> alone_s;
  std::vector<double> read_s;
  int lines = options.quick ? 30'000 : 100'000;
  for (int round = 0; round < (options.quick ? 2 : 5); ++round) {
    alone_s.push_back(work_s(loop, client, lines, 0));
    read_s.push_back(work_s(loop, client, lines, readers));
    report.note(fmt::format("alone {:.2f} s, with {} readers {:.2f} s", alone_s.back(), readers, read_s.back()));
  }
  double cost = 100 * (percentile(read_s, 0.5) / percentile(alone_s, 0.5) - 1);
  report.add("live_log_100_readers_cost_percent", cost, "%", "lower");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
