// Runs @stoqey/ib for the suite: commands come in as JSON lines, decoded messages go out the same way.
const { IBApi, EventName } = require("@stoqey/ib");
const readline = require("readline");

const events = [];
const tell = (event, values) => events.push({ event, ...values });
let client;

function connect({ port, client_id }) {
  client = new IBApi({ host: "127.0.0.1", port, clientId: client_id });
  client.on(EventName.orderStatus, (id, status, filled, remaining, average, perm, parent, last, clientId, why) =>
    tell("status", { id, status, filled, remaining, average, perm, parent, client: clientId, why }));
  client.on(EventName.openOrder, (id, contract, order, state) =>
    tell("open", { id, symbol: contract.symbol, action: order.action, quantity: order.totalQuantity, type: order.orderType,
      limit: order.lmtPrice, stop: order.auxPrice, tif: order.tif, ref: order.orderRef, perm: order.permId,
      client: order.clientId, status: state.status, what_if: order.whatIf, margin: state.initMarginChange,
      fee: state.commission, parent: order.parentId, oca: order.ocaGroup }));
  client.on(EventName.completedOrder, (contract, order, state) =>
    tell("completed", { symbol: contract.symbol, action: order.action, quantity: order.totalQuantity, ref: order.orderRef,
      perm: order.permId, status: state.status, filled: order.filledQuantity, said: state.completedStatus,
      at: state.completedTime }));
  client.on(EventName.execDetails, (request, contract, one) =>
    tell("execution", { request, symbol: contract.symbol, id: one.orderId, exec: one.execId, side: one.side,
      shares: one.shares, price: one.price, perm: one.permId, client: one.clientId, cumulative: one.cumQty,
      average: one.avgPrice, ref: one.orderRef, account: one.acctNumber }));
  client.on(EventName.commissionReport, (report) => tell("commission", { exec: report.execId, amount: report.commission }));
  client.on(EventName.error, (error, code, id) => tell(code < 0 ? "broken" : "error", { id, code, text: String(error) }));
  client.on(EventName.info, (text, code) => tell("error", { id: -1, code })); // what is no error to this client
  client.on(EventName.position, (account, contract, quantity, average) =>
    tell("position", { symbol: contract.symbol, quantity, average, account }));
  client.on(EventName.accountSummary, (id, account, tag, value) => tell("summary", { tag, value }));
  client.on(EventName.updateAccountValue, (tag, value) => tell("account", { tag, value }));
  client.on(EventName.updatePortfolio, (contract, quantity, price, value) =>
    tell("portfolio", { symbol: contract.symbol, quantity, value }));
  client.on(EventName.managedAccounts, (names) => tell("accounts", { names: String(names).split(",").filter(Boolean) }));
  client.on(EventName.contractDetails, (id, details) =>
    tell("contract", { id, con_id: details.contract.conId, symbol: details.contract.symbol, tick: details.minTick,
      primary: details.contract.primaryExch }));
  client.on(EventName.historicalData, (id, date, open, high, low, close, volume) => {
    if (String(date).startsWith("finished")) tell("end", { name: "historicalDataEnd", id });
    else tell("bar", { id, date, open, high, low, close, volume });
  });
  client.on(EventName.historicalDataUpdate, (id, date, open, high, low, close) =>
    tell("update", { id, date, open, high, low, close }));
  client.on(EventName.tickPrice, (id, kind, price) => tell("tick", { id, kind, price }));
  client.on(EventName.tickSize, (id, kind, size) => tell("size", { id, kind, size }));
  client.on(EventName.currentTime, (value) => tell("time", { value }));
  client.on(EventName.pnl, (id, daily, unrealized, realized) => tell("profit", { daily, unrealized, realized }));
  for (const name of ["positionEnd", "openOrderEnd", "completedOrdersEnd", "execDetailsEnd", "contractDetailsEnd",
    "accountSummaryEnd", "accountDownloadEnd", "tickSnapshotEnd", "nextValidId"])
    client.on(EventName[name], (id) => tell("end", { name, id: id || 0 }));
  return new Promise((done) => {
    client.once(EventName.connected, () => done(client.serverVersion));
    client.connect(client_id);
    setTimeout(() => done(0), 8000);
  });
}

const stock = (symbol) => ({ symbol, secType: "STK", exchange: "SMART", currency: "USD" });

function place({ id, symbol = "AAPL", ...terms }) {
  const names = { action: "action", quantity: "totalQuantity", type: "orderType", limit: "lmtPrice", stop: "auxPrice",
    tif: "tif", ref: "orderRef", transmit: "transmit", parent: "parentId", oca: "ocaGroup", oca_type: "ocaType",
    what_if: "whatIf" };
  const order = { tif: "DAY", transmit: true };
  for (const [word, value] of Object.entries(terms)) order[names[word]] = value;
  client.placeOrder(id, stock(symbol), order);
}

const commands = {
  connect, place,
  cancel: ({ id }) => client.cancelOrder(id),
  global_cancel: () => client.reqGlobalCancel(),
  open_orders: () => client.reqOpenOrders(),
  all_open_orders: () => client.reqAllOpenOrders(),
  completed: () => client.reqCompletedOrders(false),
  executions: ({ id }) => client.reqExecutions(id, {}),
  positions: () => client.reqPositions(),
  summary: ({ id }) => client.reqAccountSummary(id, "All", "NetLiquidation,BuyingPower,TotalCashValue"),
  account: ({ name }) => client.reqAccountUpdates(true, name),
  contract: ({ id, symbol }) => client.reqContractDetails(id, stock(symbol)),
  history: ({ id, symbol, duration, size, keep = false }) =>
    client.reqHistoricalData(id, stock(symbol), "", duration, size, "TRADES", 1, 1, keep),
  ticks: ({ id, symbol, snapshot = false }) => client.reqMktData(id, stock(symbol), "", snapshot, false),
  profit: ({ id, name }) => client.reqPnL(id, name, ""),
  time: () => client.reqCurrentTime(),
  collect: async ({ until, seconds }) => {
    const found = [], end = Date.now() + seconds * 1000;
    while (Date.now() < end) {
      await new Promise((done) => setTimeout(done, 10));
      while (events.length) {
        found.push(events.shift());
        const last = found[found.length - 1];
        if (until && (last.event === until || last.name === until)) return found;
      }
    }
    return found;
  },
};

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    let answer = null;
    try {
      answer = (await commands[asked.do](asked)) ?? null;
      if (!["connect", "collect"].includes(asked.do)) answer = null;
    } catch (error) {
      tell("broken", { text: `${asked.do}: ${error}` });
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
  process.exit(0);
})();
