#!/usr/bin/env escript
%% One row's work in one Erlang node. Each line that comes says for how many nanoseconds;
%% each line that goes says how many operations there were, and how long they took.
-mode(compile).

main([Row]) ->
    process_flag(message_queue_data, off_heap),
    Work = work(Row),
    serve(Work).

serve(Work) ->
    case io:get_line("") of
        eof -> ok;
        Line ->
            Span = list_to_integer(string:trim(Line)),
            {Operations, Took} = Work(Span),
            io:format("~b ~b~n", [Operations, Took]),
            serve(Work)
    end.

%% As the others' messages: 64 bytes, which are copied with each.
body() -> binary:copy(<<7>>, 64).

now_ns() -> erlang:monotonic_time(nanosecond).

work("local-oneway") -> fun(Span) -> flow(1, Span) end;
work("local-fanin") -> fun(Span) -> flow(4, Span) end;
work("local-pingpong") -> fun trips/1;
work("select-100k") ->
    Body = body(),
    [self() ! {Tag, Body} || Tag <- lists:seq(1, 100000)],
    fun(Span) ->
        Start = now_ns(),
        select(Body, Start, Start + Span, 0)
    end.

select(Body, Start, End, Operations) ->
    self() ! {wanted, Body},
    receive {wanted, _} -> ok end,
    case now_ns() of
        Now when Now >= End -> {Operations + 1, Now - Start};
        _ -> select(Body, Start, End, Operations + 1)
    end.

%% Every sender stops at the end of the span; the receiver, once it has heard of all.
flow(Senders, Span) ->
    To = self(),
    Start = now_ns(),
    [spawn_link(fun() -> send(To, body(), Start + Span) end) || _ <- lists:seq(1, Senders)],
    Taken = take(Senders, 0),
    {Taken, now_ns() - Start}.

send(To, Body, End) ->
    many(To, Body, 100),
    case now_ns() of
        Now when Now >= End -> To ! last;
        _ -> send(To, Body, End)
    end.

many(_, _, 0) -> ok;
many(To, Body, Left) ->
    To ! {small, Body},
    many(To, Body, Left - 1).

take(0, Taken) -> Taken;
take(Senders, Taken) ->
    receive
        {small, _} -> take(Senders, Taken + 1);
        last -> take(Senders - 1, Taken)
    end.

trips(Span) ->
    Other = spawn_link(fun echo/0),
    Start = now_ns(),
    Result = trips(Other, body(), Start, Start + Span, 0),
    Other ! last,
    Result.

trips(Other, Body, Start, End, Operations) ->
    Other ! {self(), Body},
    receive {Other, _} -> ok end,
    case now_ns() of
        Now when Now >= End -> {Operations + 1, Now - Start};
        _ -> trips(Other, Body, Start, End, Operations + 1)
    end.

echo() ->
    receive
        {From, Body} ->
            From ! {self(), Body},
            echo();
        last -> ok
    end.
