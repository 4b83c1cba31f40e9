#include "server/output/outbox.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "server/output/limits.h"

namespace gantry::server {
namespace {

const state::Key accounting_key{0, "outbox"};
constexpr std::size_t row_overhead_bytes = 24;  // of a row in the store, beside its value

}  // namespace

const std::vector<wire::PulseMessage>& OutboxRow::messages() const {
  if (!messages_) messages_ = value_or_throw(queue::messages_of(row_.first, *row_.value));
  return *messages_;
}

std::size_t OutboxRow::bytes() const {
  std::size_t spelt_out = 0;
  if (messages_) {
    for (const wire::PulseMessage& message : *messages_) spelt_out += sizeof message + message.body.size() + 256;
  }
  return row_.value->size() + sizeof *this + spelt_out;
}

Outbox::Outbox(Env& env, CommitLoop& commits, OutboxLimits limits) : env_(env), commits_(commits), limits_(limits) {}

Outbox::~Outbox() {
  if (news_planned_) env_.cancel_call(news_timer_);
}

void Outbox::attach(std::shared_ptr<store::Store> store) {
  store_ = std::move(store);
  staged_.clear();
  ring_.clear();
  ring_bytes_ = 0;
  segments_.clear();
  unaccounted_bytes_ = 0;
  if (!store_) return;
  newest_ = commits_.state().last_event();
  ring_floor_ = newest_;
  floor_ = newest_;
  std::vector<store::Entry> oldest = store_->scan(state::TableId::outbox, nullptr, 1);
  erased_ = oldest.empty() ? newest_ : oldest.front().key.sequence - 1;
  state::Value stored = store_->read(state::TableId::meta, accounting_key);
  if (!stored) return;
  json::value document = value_or_throw(parse_json(*stored));
  floor_ = document.at("floor").to_number<std::uint64_t>();
  for (const json::value& entry : document.at("segments").as_array()) {
    segments_.push_back({entry.at(0).to_number<std::uint64_t>(), time_from_ms(entry.at(1).to_number<std::int64_t>()),
                         entry.at(2).to_number<std::int64_t>()});
  }
}

std::int64_t Outbox::bytes() const {
  std::int64_t sum = 0;
  for (const Segment& segment : segments_) sum += segment.bytes;
  return sum;
}

state::Value Outbox::accounting() const {
  std::string text;
  JsonWriter out(text);
  out.begin_object().field("v", 1).field("floor", floor_).key("segments").begin_array();
  for (const Segment& segment : segments_) {
    out.begin_array().number(static_cast<std::int64_t>(segment.first)).number(to_ms(segment.begun));
    out.number(segment.bytes).end_array();
  }
  out.end_array().end_object();
  return std::make_shared<const std::string>(std::move(text));
}

void Outbox::account(state::Transaction& tx, const std::vector<queue::EventRow>& rows) {
  std::int64_t bytes = 0;
  for (const auto& row : rows) bytes += static_cast<std::int64_t>(row.value->size() + row_overhead_bytes);
  bool begin = segments_.empty() || segments_.back().bytes >= limits_.bytes_max / outbox_segments ||
               tx.now() - segments_.back().begun >= limits_.age_max / outbox_segments;
  if (begin) segments_.push_back({rows.front().first, tx.now(), 0});
  segments_.back().bytes += bytes;
  unaccounted_bytes_ += bytes;
  if (!begin && unaccounted_bytes_ < outbox_accounting_bytes) return;
  unaccounted_bytes_ = 0;
  tx.put_row(state::TableId::meta, accounting_key, accounting());
}

void Outbox::before_stage(state::Transaction& tx) {
  made_.clear();
  queue::add_event_rows(tx, made_);
  if (made_.empty()) return;
  account(tx, made_);
  std::uint64_t version = tx.state().last_commit() + 1;
  for (queue::EventRow& row : made_) staged_.push_back({version, std::move(row)});
}

void Outbox::on_group() {
  bool more = false;
  while (!staged_.empty() && staged_.front().version <= commits_.durable()) {
    auto row = std::make_shared<const OutboxRow>(std::move(staged_.front().row));
    staged_.pop_front();
    newest_ = row->last();
    ring_bytes_ += row->value()->size();
    ring_.push_back(std::move(row));
    more = true;
  }
  if (!more) return;
  trim_memory();
  announce();
}

void Outbox::trim_memory() {
  // What readers have had spelt out takes about twice as much again.
  while (ring_bytes_ * 3 > outbox_memory_bytes_max && ring_.size() > 1) {
    ring_bytes_ -= ring_.front()->value()->size();
    ring_floor_ = ring_.front()->last();
    ring_.pop_front();
  }
}

void Outbox::announce() {
  if (news_planned_) return;
  Duration pause(static_cast<std::int64_t>(news_.waiting() / outbox_readers_per_ms));
  if (pause == Duration(0)) {
    news_.notify_all();
    return;
  }
  news_planned_ = true;
  news_timer_ = env_.call_after(std::min(pause, outbox_news_pause_max), [this] {
    news_planned_ = false;
    news_.notify_all();
  });
}

std::size_t Outbox::position(std::uint64_t after) const {
  auto found = std::ranges::upper_bound(ring_, after, {}, [](const auto& row) { return row->last(); });
  return static_cast<std::size_t>(found - ring_.begin());
}

Async<Outbox::Page> Outbox::read(std::uint64_t after) {
  std::uint64_t from = after;
  for (;;) {
    from = std::max(from, floor_);
    Page page;
    if (from >= ring_floor_) {
      page.next = from;
      for (std::size_t at = position(from); at < ring_.size() && page.rows.size() < outbox_page_rows; ++at) {
        page.rows.push_back(ring_[at]);
      }
    } else {
      page = co_await read_stored(from);
      // It may have been trimmed meanwhile.
      std::erase_if(page.rows, [this](const auto& row) { return row->last() <= floor_; });
    }
    if (!page.rows.empty()) page.next = std::max(page.next, page.rows.back()->last());
    if (after < floor_) page.lost = Lost{after + 1, floor_};
    if (!page.rows.empty() || page.lost || page.next == from) {
      page.next = std::max(page.next, floor_);
      co_return page;
    }
    from = page.next;  // a gap between what is stored and what is in memory
  }
}

Async<Outbox::Page> Outbox::read_stored(std::uint64_t after) {
  if (!store_) throw Error(ErrorCode::unavailable, "the server is reading its state", "try again in a moment");
  // The row that holds `after` may go on behind it.
  std::uint64_t from = after > queue::events_per_row_max ? after - queue::events_per_row_max : 0;
  std::uint64_t memory_begins = ring_floor_;
  auto scan = [store = store_, from] {
    state::Key key{from, {}};
    return store->scan(state::TableId::outbox, from > 0 ? &key : nullptr, outbox_page_rows);
  };
  std::vector<store::Entry> entries = co_await env_.blocking(scan);
  Page page;
  for (store::Entry& entry : entries) {
    auto value = std::make_shared<const std::string>(std::move(entry.value));
    OutboxRow row({entry.key.sequence, 1, value});
    std::uint64_t count = row.messages().size();
    if (count == 0 || entry.key.sequence + count - 1 <= after) continue;
    page.rows.push_back(std::make_shared<const OutboxRow>(queue::EventRow{entry.key.sequence, count, value}));
  }
  // Fewer than were asked for: that was all there was when the ring began after `memory_begins`.
  page.next = entries.size() < outbox_page_rows ? std::max(after, memory_begins) : after;
  if (page.rows.empty() && page.next == after) page.next = entries.back().key.sequence;
  co_return page;
}

std::uint64_t Outbox::end_of(std::size_t segment) const {
  return segment + 1 < segments_.size() ? segments_[segment + 1].first - 1 : newest_;
}

std::uint64_t Outbox::trim_target() const {
  std::int64_t bytes_left = bytes();
  Duration term = limits_.age_max + limits_.age_max / outbox_segments;  // from its begin until all of it is too old
  std::uint64_t target = floor_;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    bool old = segments_[i].begun + term <= env_.now();
    bool too_much = i + 1 < segments_.size() && bytes_left > limits_.bytes_max;
    if (!old && !too_much) break;
    bytes_left -= segments_[i].bytes;
    target = std::max(target, end_of(i));
  }
  return target;
}

void Outbox::forget_through(std::uint64_t number) {
  floor_ = number;
  while (!segments_.empty() && end_of(0) <= floor_) segments_.pop_front();
  while (!ring_.empty() && ring_.front()->last() <= floor_) {
    ring_bytes_ -= ring_.front()->value()->size();
    ring_floor_ = ring_.front()->last();
    ring_.pop_front();
  }
}

Async<> Outbox::trim() {
  std::uint64_t target = trim_target();
  bool moves = target > floor_;
  if (moves) {
    log_debug("the events {} to {} are trimmed", floor_ + 1, target);
    forget_through(target);
  }
  // That they are gone is written before the first of them is; what is left after a failure, the next trim takes.
  while (erased_ < floor_) {
    std::uint64_t through = std::min(floor_, erased_ + outbox_trim_step);
    auto tx = commits_.begin();
    if (moves) tx.put_row(state::TableId::meta, accounting_key, accounting());
    tx.erase_rows_through(state::TableId::outbox, through);
    std::uint64_t version = commits_.stage(tx);
    co_await commits_.settled(version);
    moves = false;
    erased_ = through;
  }
}

Async<> Outbox::keep_trimmed() {
  for (;;) {
    co_await env_.sleep(outbox_trim_period);
    if (!store_) continue;
    std::exception_ptr failure;
    try {
      co_await trim();
    } catch (...) {
      failure = std::current_exception();
    }
    if (is_cancelled(failure)) co_return;
    // Else the disk is in trouble, which the commit loop reports: it is tried again.
  }
}

}  // namespace gantry::server
