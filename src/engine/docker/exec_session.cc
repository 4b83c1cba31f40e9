#include "engine/docker/exec_session.h"

#include <algorithm>

#include <fmt/core.h>

#include "engine/docker/output_stream.h"

namespace gantry::engine::docker {

namespace {

/// What a session's coroutines need, so that they may outlive it.
struct Exec {
  std::shared_ptr<Requests> requests;
  std::string id;
  std::string what;  // "run sh in container 0123456789ab"
  std::shared_ptr<net::RawStream> stream;
  std::shared_ptr<OutputStream> output;
};
using ExecPointer = std::shared_ptr<const Exec>;

Async<> write_input(ExecPointer exec, std::string bytes) {
  std::exception_ptr failure;
  try {
    co_await exec->stream->write(std::move(bytes));
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) rethrow_in_context(failure, exec->what + ": write its input");
}

Async<> end_input(ExecPointer exec) {
  exec->stream->end_input();
  co_return;
}

Async<Output> read_output(ExecPointer exec) { co_return co_await exec->output->read(); }

Async<ExecState> inspect(ExecPointer exec) {
  co_return parse_exec_state(
      co_await exec->requests->call({.path = "/exec/" + exec->id + "/json", .what = exec->what + ": ask for its end"}));
}

Async<> resize_terminal(ExecPointer exec, int rows, int columns) {
  if (rows < 1 || rows > terminal_side_max || columns < 1 || columns > terminal_side_max) {
    throw Error(ErrorCode::invalid_input, fmt::format("a terminal cannot have {} rows and {} columns", rows, columns),
                fmt::format("both are from 1 to {}", terminal_side_max));
  }
  std::string what = exec->what + ": resize its terminal";
  net::IncomingResponse answer =
      co_await exec->requests->exchange({.method = net::Method::post,
                                         .path = fmt::format("/exec/{}/resize?h={}&w={}", exec->id, rows, columns),
                                         .what = what});
  if (is_success(answer.status)) co_return;
  ExecState state = co_await inspect(exec);
  if (state.running) throw status_error(answer.status, answer.body, what);
}

Async<int> wait_for_exit(ExecPointer exec) {
  // The engine has no call that waits for it. It is there at once for whoever has read the output's end.
  Duration delay = exec_poll_delay_min;
  for (;;) {
    ExecState state = co_await inspect(exec);
    if (!state.running && state.exit_code) co_return *state.exit_code;
    co_await exec->requests->env().sleep(delay);
    delay = std::min(delay * 2, exec_poll_delay_max);
  }
}

class DockerExecSession : public ExecSession {
 public:
  explicit DockerExecSession(ExecPointer exec) : exec_(std::move(exec)) {}
  DockerExecSession(const DockerExecSession&) = delete;
  DockerExecSession& operator=(const DockerExecSession&) = delete;
  ~DockerExecSession() override { exec_->stream->close(); }

  Async<> write(std::string bytes) override { return write_input(exec_, std::move(bytes)); }
  Async<> close_input() override { return end_input(exec_); }
  Async<Output> read() override { return read_output(exec_); }
  Async<> resize(int rows, int columns) override { return resize_terminal(exec_, rows, columns); }
  Async<int> exit_code() override { return wait_for_exit(exec_); }
  void close() override { exec_->stream->close(); }

 private:
  ExecPointer exec_;
};

}  // namespace

Async<std::shared_ptr<ExecSession>> start_exec(std::shared_ptr<Requests> requests, std::string container,
                                               ExecSpec spec) {
  if (spec.command.empty()) throw Error(ErrorCode::invalid_input, "there is no command to run in the container");
  auto exec = std::make_shared<Exec>();
  exec->requests = requests;
  exec->what =
      fmt::format("run {} in container {}", spec.command[0].substr(0, shown_command_bytes_max), short_id(container));
  exec->id = checked_id(parse_id(co_await requests->call({.method = net::Method::post,
                                                          .path = "/containers/" + container + "/exec",
                                                          .what = exec->what,
                                                          .body = exec_create_json(spec)})),
                        "command");
  exec->stream = co_await requests->take_over({.method = net::Method::post,
                                               .path = "/exec/" + exec->id + "/start",
                                               .what = exec->what,
                                               .body = exec_start_json(spec)});
  exec->output = spec.tty ? raw_output(exec->stream, exec->what) : decode_frames(exec->stream, exec->what);
  co_return std::make_shared<DockerExecSession>(std::move(exec));
}

}  // namespace gantry::engine::docker
