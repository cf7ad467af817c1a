%% A car park: a process knows what is free, and asks another one what it costs.
-module(parking).
-export([start/1, gate/2, meter/0, handle/2]).

start([Port]) ->
    Meter = spawn(?MODULE, meter, []),
    Gate = spawn(?MODULE, gate, [Meter, #{}]),
    {ok, Listener} = gen_tcp:listen(list_to_integer(Port),
        [binary, {packet, http_bin}, {active, false}, {reuseaddr, true}, {ip, {127, 0, 0, 1}}, {backlog, 64}]),
    accept(Listener, Gate).

accept(Listener, Gate) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    gen_tcp:controlling_process(Socket, spawn(?MODULE, handle, [Socket, Gate])),
    accept(Listener, Gate).

handle(Socket, Gate) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, {http_request, _, {abs_path, Path}, _}} ->
            skip_headers(Socket),
            Body = answer(binary:split(Path, <<"/">>, [global]), Gate),
            gen_tcp:send(Socket, [<<"HTTP/1.1 200 OK\r\ncontent-length: ">>, integer_to_binary(byte_size(Body)), <<"\r\n\r\n">>, Body]),
            inet:setopts(Socket, [{packet, http_bin}]),
            handle(Socket, Gate);
        _ -> gen_tcp:close(Socket)
    end.

skip_headers(Socket) ->
    inet:setopts(Socket, [{packet, httph_bin}]),
    case gen_tcp:recv(Socket, 0) of
        {ok, http_eoh} -> ok;
        {ok, _} -> skip_headers(Socket);
        {error, _} -> ok
    end.

answer([_, <<"enter">>, Car], Gate) ->
    Gate ! {enter, self(), Car},
    receive {price, Price} -> <<"price ", (integer_to_binary(Price))/binary>> end;
answer([_, <<"sensors">>, Count], Gate) ->
    [Gate ! {temperature, I rem 40} || I <- lists:seq(1, binary_to_integer(Count))],
    <<"noted">>;
answer(_, _) ->
    iolist_to_binary([[<<"row ">>, integer_to_binary(I), <<": free\n">>] || I <- lists:seq(1, 60)]).

%% gate lets cars in. The mistake: messages that it does not know stay in its mailbox,
%% and each receive looks at all of them first.
gate(Meter, Cars) ->
    receive
        {enter, From, Car} ->
            Price = ask_price(Meter, Car),
            From ! {price, Price},
            gate(Meter, maps:put(erlang:phash2(Car, 500), Price, Cars))
    end.

ask_price(Meter, Car) ->
    Meter ! {price_of, self(), Car},
    receive {price_is, Car, Price} -> Price end.

meter() ->
    receive
        {price_of, From, Car} -> From ! {price_is, Car, 100 + erlang:phash2(Car, 50)}
    end,
    meter().
