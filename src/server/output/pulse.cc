#include "server/output/pulse.h"

#include <deque>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "server/output/limits.h"

namespace gantry::server {
namespace {

const state::Key cursor_key{0, "cursor:pulse"};
constexpr Duration sender_step = seconds(1);  // heartbeats go out at least this often

struct Item {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  state::Value row;  // null: the events from `first` to `last` were lost
  Time at;           // of a loss

  std::size_t bytes() const { return row ? row->size() : 0; }
  std::vector<wire::PulseMessage> messages() const {
    if (!row) return {wire::events_lost_message(first, last, at)};
    auto messages = queue::messages_of(first, *row);
    if (messages) return std::move(messages).assume_value();
    log_error("event {} cannot be sent: {}", first, messages.error().message());
    return {};
  }
};

}  // namespace

/// The thread. What it has taken and the broker has not confirmed stays in window_, to be sent again through the next
/// connection.
class Pulse::Sender {
 public:
  /// `progress` is called on the thread: everything up to this event is confirmed, with so many messages more.
  using Progress = std::function<void(std::uint64_t number, std::uint64_t messages)>;

  Sender(net::AmqpUrl url, Progress progress) : url_(std::move(url)), progress_(std::move(progress)) {
    wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake_ < 0) throw Error(ErrorCode::unavailable, "cannot make an eventfd");
  }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  ~Sender() {
    stop();
    join();
    ::close(wake_);
  }

  // Any thread.

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void stop() {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
    ring();
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  void push(Item item) {
    std::lock_guard lock(mutex_);
    rows_ += 1;
    bytes_ += item.bytes();
    if (!oldest_) oldest_ = item;
    queue_.push_back(std::move(item));
    ring();
  }
  bool has_room() const {
    std::lock_guard lock(mutex_);
    return rows_ < output_rows_max && bytes_ < output_bytes_max;
  }
  bool connected() const {
    std::lock_guard lock(mutex_);
    return connected_;
  }
  /// The first that is not confirmed.
  std::optional<Item> oldest() const {
    std::lock_guard lock(mutex_);
    return oldest_;
  }

 private:
  void ring() const {
    std::uint64_t one = 1;
    static_cast<void>(::write(wake_, &one, sizeof one));
  }
  void clear_ring() const {
    std::uint64_t count = 0;
    static_cast<void>(::read(wake_, &count, sizeof count));
  }
  bool stopping() const {
    std::lock_guard lock(mutex_);
    return stopping_;
  }
  void set_socket(int socket) {
    std::lock_guard lock(mutex_);
    socket_ = socket;
    if (stopping_ && socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
  }
  void set_connected(bool connected) {
    std::lock_guard lock(mutex_);
    connected_ = connected;
  }

  void run() {
    Duration pause = pulse_retry_min;
    std::string last_trouble;
    while (!stopping()) {
      std::string trouble;
      std::uint64_t confirmed_before = confirmed_messages_;
      try {
        AmqpLink link(url_, [this](int socket) { set_socket(socket); });
        set_connected(true);
        log_info("events go to {}", url_.shown());
        last_trouble.clear();
        serve(link);
      } catch (const std::exception& error) {
        trouble = error.what();
      }
      set_connected(false);
      if (stopping()) return;
      if (confirmed_messages_ != confirmed_before) pause = pulse_retry_min;
      if (trouble != last_trouble) {
        log_warning("events cannot be sent to {}, they are kept and sent later: {}", url_.shown(), trouble);
      }
      last_trouble = trouble;
      wait_out(pause);
      pause = std::min(pause * 2, pulse_retry_max);
    }
  }

  /// New events ring too, so this looks at nothing but the end; it is as long as it was meant to be, or a little more.
  void wait_out(Duration pause) {
    for (Duration waited{}; waited < pause && !stopping(); waited += retry_step) {
      ::poll(nullptr, 0, static_cast<int>(retry_step.count()));
    }
  }

  void serve(AmqpLink& link) {
    unsent_ = 0;
    in_flight_bytes_ = 0;
    Duration without_confirm{};
    while (!stopping()) {
      clear_ring();
      take_items();
      send(link);
      std::uint64_t before = link.confirmed();
      bool waited = link.wait(sender_step, wake_);
      if (link.confirmed() != before || link.blocked() || unsent_ == 0) without_confirm = Duration(0);
      if (waited) without_confirm += sender_step;
      if (without_confirm > pulse_confirm_timeout) {
        throw Error(ErrorCode::unavailable, "the broker confirms no messages any more");
      }
      drop_confirmed(link);
    }
  }

  void take_items() {
    std::lock_guard lock(mutex_);
    for (Item& item : queue_) window_.push_back({std::move(item), 0, 0, 0});
    queue_.clear();
  }

  void send(AmqpLink& link) {
    while (unsent_ < window_.size() && !link.blocked() && link.published() - link.confirmed() < pulse_in_flight_max &&
           in_flight_bytes_ < pulse_in_flight_bytes_max) {
      InFlight& next = window_[unsent_];
      next.messages = 0;
      next.bytes = 0;
      for (const wire::PulseMessage& message : next.item.messages()) {
        link.publish(message);
        next.messages += 1;
        next.bytes += message.body.size();
      }
      next.tag = link.published();
      in_flight_bytes_ += next.bytes;
      ++unsent_;
    }
  }

  void drop_confirmed(const AmqpLink& link) {
    std::uint64_t last = 0;
    std::uint64_t messages = 0;
    std::size_t bytes = 0;
    std::size_t count = 0;
    while (count < unsent_ && window_[count].tag <= link.confirmed()) {
      last = window_[count].item.last;
      messages += window_[count].messages;
      bytes += window_[count].item.bytes();
      in_flight_bytes_ -= window_[count].bytes;
      ++count;
    }
    if (count == 0) return;
    window_.erase(window_.begin(), window_.begin() + static_cast<std::ptrdiff_t>(count));
    unsent_ -= count;
    confirmed_messages_ += messages;
    {
      std::lock_guard lock(mutex_);
      rows_ -= count;
      bytes_ -= bytes;
      oldest_.reset();
      if (!window_.empty()) oldest_ = window_.front().item;
      if (window_.empty() && !queue_.empty()) oldest_ = queue_.front();
    }
    progress_(last, messages);
  }

  static constexpr Duration retry_step = milliseconds(50);

  struct InFlight {
    Item item;
    std::uint64_t tag;  // of its last message, once sent
    std::uint64_t messages;
    std::size_t bytes;
  };

  const net::AmqpUrl url_;
  const Progress progress_;
  int wake_ = -1;
  std::thread thread_;

  mutable std::mutex mutex_;  // guards what follows
  std::deque<Item> queue_;
  std::optional<Item> oldest_;
  std::size_t rows_ = 0;  // of queue_ and window_
  std::size_t bytes_ = 0;
  int socket_ = -1;
  bool stopping_ = false;
  bool connected_ = false;

  // The thread's own.
  std::deque<InFlight> window_;
  std::size_t unsent_ = 0;  // index of the first of window_ that this connection has not sent
  std::size_t in_flight_bytes_ = 0;
  std::uint64_t confirmed_messages_ = 0;
};

Pulse::Pulse(Env& env, CommitLoop& commits, Outbox& outbox, net::AmqpUrl url)
    : env_(env), commits_(commits), outbox_(outbox), scope_(env.executor(), "pulse") {
  auto progress = [this, alive = alive_, where = env.executor()](std::uint64_t number, std::uint64_t messages) {
    asio::post(where, [this, alive, number, messages] {
      if (*alive) confirmed(number, messages);
    });
  };
  sender_ = std::make_shared<Sender>(std::move(url), std::move(progress));
}

Pulse::~Pulse() { *alive_ = false; }

void Pulse::start(std::shared_ptr<store::Store> store) {
  if (std::exchange(started_, true)) return;
  state::Value stored = store->read(state::TableId::meta, cursor_key);
  if (stored) {
    cursor_ = value_or_throw(parse_json(*stored)).at("event").to_number<std::uint64_t>();
    saved_ = cursor_;
  } else {
    cursor_ = outbox_.newest();
    saved_ = cursor_;
    stage_cursor();  // before the first event is confirmed: a restart must not begin at what is newest then
  }
  fed_ = cursor_;
  sender_->start();
  scope_.spawn("feed", feed());
  scope_.spawn("cursor", save_cursor());
}

Async<> Pulse::stop() {
  scope_.cancel();
  co_await scope_.join();
  sender_->stop();
  co_await env_.blocking([sender = sender_] { sender->join(); });
  if (started_ && cursor_ != saved_) stage_cursor();
}

void Pulse::confirmed(std::uint64_t number, std::uint64_t messages) {
  cursor_ = number;
  published_ += messages;
  room_.notify_all();
}

Pulse::Numbers Pulse::numbers() const {
  Numbers numbers{sender_->connected(), published_, lost_, 0};
  if (auto oldest = sender_->oldest()) {
    auto messages = oldest->messages();
    if (!messages.empty()) {
      numbers.lag_seconds = std::max(0.0, static_cast<double>((env_.now() - messages.front().at).count()) / 1000);
    }
  }
  return numbers;
}

Async<> Pulse::feed() {
  for (;;) {
    std::exception_ptr failure;
    try {
      co_await feed_page();
    } catch (...) {
      failure = std::current_exception();
    }
    if (is_cancelled(failure)) co_return;
    if (!failure) continue;
    // The state is being read again, or the disk is in trouble: what is in the log stays there.
    log_warning("events cannot be read: {}", error_of(failure).message());
    co_await env_.sleep(seconds(1));
  }
}

Async<> Pulse::feed_page() {
  while (!sender_->has_room()) co_await room_.wait();
  Outbox::Page page = co_await outbox_.read(fed_);
  if (page.lost) {
    log_error("the outbox is full: the events {} to {} were dropped before the broker took them", page.lost->first,
              page.lost->last);
    lost_ += page.lost->last - page.lost->first + 1;
    sender_->push({page.lost->first, page.lost->last, nullptr, env_.now()});
  }
  for (const auto& row : page.rows) sender_->push({row->first(), row->last(), row->value(), Time()});
  bool nothing = page.rows.empty() && !page.lost;
  fed_ = page.next;
  if (nothing) co_await outbox_.news().wait();
}

state::Value Pulse::cursor_value() const {
  return std::make_shared<const std::string>(fmt::format(R"({{"v":1,"event":{}}})", cursor_));
}

std::uint64_t Pulse::stage_cursor() {
  auto tx = commits_.begin();
  tx.put_row(state::TableId::meta, cursor_key, cursor_value());
  return commits_.stage(tx);
}

Async<> Pulse::save_cursor() {
  for (;;) {
    co_await env_.sleep(output_cursor_period);
    if (cursor_ == saved_) continue;
    std::uint64_t cursor = cursor_;
    std::exception_ptr failure;
    try {
      co_await commits_.settled(stage_cursor());
    } catch (...) {
      failure = std::current_exception();
    }
    if (is_cancelled(failure)) co_return;
    if (!failure) saved_ = cursor;  // else the next time
  }
}

}  // namespace gantry::server
