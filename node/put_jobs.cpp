#include "node/put_jobs.h"

#include <algorithm>

#include "node/steady_clock.h"

namespace dozo::node {
namespace {

local::Answer answer_of(Result<local::Saved> saved) {
  if (saved) return std::move(*saved);
  return local::Refusal{static_cast<std::uint8_t>(saved.error().fault), std::move(saved.error().text)};
}

}  // namespace

PutJobs::PutJobs(store::Truth& truth, const SeenFiles& seen, std::function<void()> wake) : truth_(truth), seen_(seen), wake_(std::move(wake)) {}

PutJobs::~PutJobs() {
  stop();
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (Call* it : calls_) it->refused = true;
    calls_.clear();
  }
  served_.notify_all();
  for (Job& job : running_) job.thread.join();
}

Result<void> PutJobs::start(const LocalServer::Token& token, local::PutRequest request) {
  if (stopping_) return fail(Fault::unavailable, "the daemon is being stopped");
  if (waiting_.size() >= waiting_most) return fail(Fault::unavailable, "too many saves wait already: try again later");
  Job& job = waiting_.emplace_back();
  job.token = token;
  job.request = std::move(request);
  if (running_.size() >= running_most) return {};
  running_.splice(running_.end(), waiting_, std::prev(waiting_.end()));
  begin(job);
  return {};
}

void PutJobs::begin(Job& job) {
  job.thread = std::thread([this, &job] { run(job); });
}

void PutJobs::run(Job& job) {
  PutOptions options;
  options.stop = &job.stop;
  options.seen = &seen_;
  options.progress = [this, &job](const local::Progress& progress) {
    const std::int64_t now_ms = steady_ms();
    if (now_ms - job.progress_last_ms < progress_ms) return;
    job.progress_last_ms = now_ms;
    say(job, progress);
  };
  const OnEngine on_engine = [this](const std::function<void(Engine&, Now)>& what) { return call(what); };
  local::Answer answer = answer_of(put(job.request, on_engine, truth_, options));
  {
    const std::lock_guard lock(mutex_);
    said_.push_back({job.token, std::move(answer)});
    ended_.push_back(&job);
  }
  wake_();
}

bool PutJobs::call(const std::function<void(Engine&, Now)>& what) {
  Call it{&what};
  std::unique_lock lock(mutex_);
  if (closed_) return false;
  calls_.push_back(&it);
  wake_();
  served_.wait(lock, [&] { return it.done || it.refused; });
  return it.done;
}

void PutJobs::say(const Job& job, local::Answer answer) {
  {
    const std::lock_guard lock(mutex_);
    said_.push_back({job.token, std::move(answer)});
  }
  wake_();
}

void PutJobs::serve(Engine& engine, const std::function<Now()>& now, const std::function<void()>& after) {
  std::deque<Call*> calls;
  {
    const std::lock_guard lock(mutex_);
    calls.swap(calls_);
  }
  for (Call* it : calls) {
    (*it->what)(engine, now());  // its caller waits, and touches nothing meanwhile
    {
      const std::lock_guard lock(mutex_);
      it->done = true;
    }
    served_.notify_all();
    after();
  }
}

std::vector<PutJobs::Said> PutJobs::take() {
  std::vector<Said> out;
  std::vector<const Job*> ended;
  {
    const std::lock_guard lock(mutex_);
    out.swap(said_);
    ended.swap(ended_);
  }
  for (const Job* job : ended) {
    const auto it = std::find_if(running_.begin(), running_.end(), [&](const Job& one) { return &one == job; });
    it->thread.join();
    running_.erase(it);
  }
  while (running_.size() < running_most && !waiting_.empty()) {
    running_.splice(running_.end(), waiting_, waiting_.begin());
    begin(running_.back());
  }
  return out;
}

void PutJobs::give_up(const LocalServer::Token& token) {
  for (Job& job : running_)
    if (job.token == token) job.stop = true;
  waiting_.remove_if([&](const Job& job) { return job.token == token; });
}

void PutJobs::stop() {
  stopping_ = true;
  for (Job& job : running_) job.stop = true;
  const std::lock_guard lock(mutex_);
  for (const Job& job : waiting_) said_.push_back({job.token, answer_of(fail(Fault::unavailable, "the daemon is being stopped; nothing was saved"))});
  waiting_.clear();
}

}  // namespace dozo::node
