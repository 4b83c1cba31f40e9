#include "agent/pulse_listener.h"

#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/limits.h"
#include "base/json.h"
#include "base/log.h"
#include "net/amqp_listener.h"

namespace gantry::agent {
namespace {

constexpr const char* pending_exchange = "exchange/taskcluster-queue/v1/task-pending";
constexpr const char* exception_exchange = "exchange/taskcluster-queue/v1/task-exception";
constexpr Duration step = seconds(1);  // heartbeats go out at least this often

std::string_view text_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

bool is_of_queue(const json::object& status, std::string_view task_queue) {
  std::string_view name = text_in(status, "taskQueueId");
  if (!name.empty()) return name == task_queue;
  return fmt::format("{}/{}", text_in(status, "provisionerId"), text_in(status, "workerType")) == task_queue;
}

/// The newest run, if it was ended by the queue and not by its worker.
std::optional<wire::RunRef> ended_run(const json::object& status) {
  auto task = TaskId::parse(text_in(status, "taskId"));
  const json::value* runs = status.if_contains("runs");
  if (!task || !runs || !runs->is_array() || runs->get_array().empty()) return std::nullopt;
  const json::object* run = runs->get_array().back().if_object();
  std::string_view reason = run ? text_in(*run, "reasonResolved") : "";
  if (reason != "canceled" && reason != "deadline-exceeded") return std::nullopt;
  return wire::RunRef{*task, static_cast<int>(runs->get_array().size()) - 1};
}

/// `primary.<taskId>.<runId>.<workerGroup>.<workerId>.<provisionerId>.<workerType>...`
std::string pattern_of(std::string_view task_queue) {
  std::string pattern = fmt::format("primary.*.*.*.*.{}.#", task_queue);
  pattern.replace(pattern.find('/'), 1, ".");
  return pattern;
}

}  // namespace

std::optional<PulseNews> parse_pulse_news(std::string_view exchange, std::string_view body,
                                          std::string_view task_queue) {
  auto document = parse_json(body);
  const json::object* message = document ? document.value().if_object() : nullptr;
  const json::value* part = message ? message->if_contains("status") : nullptr;
  const json::object* status = part ? part->if_object() : nullptr;
  if (!status || !is_of_queue(*status, task_queue)) return std::nullopt;
  if (exchange == pending_exchange) return PulseNews{true, {}};
  if (exchange != exception_exchange) return std::nullopt;
  auto ended = ended_run(*status);
  if (!ended) return std::nullopt;
  return PulseNews{false, ended};
}

class PulseListener::Thread {
 public:
  /// `told` is called on the thread.
  Thread(net::AmqpUrl url, std::string queue, std::string task_queue, std::function<void(PulseNews)> told)
      : url_(std::move(url)), queue_(std::move(queue)), task_queue_(std::move(task_queue)), told_(std::move(told)) {
    wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake_ < 0) throw Error(ErrorCode::unavailable, "cannot make an eventfd");
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() {
    stop();
    join();
    ::close(wake_);
  }

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void stop() {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
    std::uint64_t one = 1;
    static_cast<void>(::write(wake_, &one, sizeof one));
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  bool stopping() const {
    std::lock_guard lock(mutex_);
    return stopping_;
  }
  void set_socket(int socket) {
    std::lock_guard lock(mutex_);
    socket_ = socket;
    if (stopping_ && socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
  }

  void run() {
    Duration pause = pulse_retry_min;
    std::string last_trouble;
    while (!stopping()) {
      std::string trouble;
      try {
        net::AmqpListener listener(
            url_, queue_, {{pending_exchange, pattern_of(task_queue_)}, {exception_exchange, pattern_of(task_queue_)}},
            [this](int socket) { set_socket(socket); });
        log_info("pulse: listens to {}", url_.shown());
        last_trouble.clear();
        pause = pulse_retry_min;
        listen(listener);
      } catch (const std::exception& error) {
        trouble = error.what();
      }
      if (stopping()) return;
      if (trouble != last_trouble) {
        log_warning("pulse: {} cannot be listened to, so news come late: {}", url_.shown(), trouble);
      }
      last_trouble = trouble;
      pollfd wake{wake_, POLLIN, 0};
      ::poll(&wake, 1, static_cast<int>(pause.count()));
      pause = std::min(pause * 2, pulse_retry_max);
    }
  }

  void listen(net::AmqpListener& listener) {
    while (!stopping()) {
      auto message = listener.next(step, wake_);
      if (!message) continue;
      if (auto news = parse_pulse_news(message->exchange, message->body, task_queue_)) told_(*news);
    }
  }

  const net::AmqpUrl url_;
  const std::string queue_;
  const std::string task_queue_;
  const std::function<void(PulseNews)> told_;
  int wake_ = -1;
  std::thread thread_;

  mutable std::mutex mutex_;  // guards what follows
  int socket_ = -1;
  bool stopping_ = false;
};

PulseListener::PulseListener(Env& env, net::AmqpUrl url, std::string task_queue, std::function<void(PulseNews)> told)
    : env_(env), told_(std::make_shared<std::function<void(PulseNews)>>(std::move(told))) {
  // Pulse lets its users make queues of this form only.
  std::string queue = fmt::format("queue/{}/gantry-{}", url.user, TaskId::random(env).to_string());
  auto post = [where = env.executor(), weak = std::weak_ptr(told_)](PulseNews news) {
    asio::post(where, [weak, news] {
      if (auto still = weak.lock()) (*still)(news);
    });
  };
  thread_ = std::make_shared<Thread>(std::move(url), std::move(queue), std::move(task_queue), std::move(post));
}

PulseListener::~PulseListener() = default;

void PulseListener::start() { thread_->start(); }

Async<> PulseListener::stop() {
  told_.reset();
  thread_->stop();
  co_await env_.blocking([thread = thread_] { thread->join(); });
}

}  // namespace gantry::agent
